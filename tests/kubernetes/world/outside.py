"""A world, from outside: started, asked, disturbed and ended."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from benchmarks.processes.cluster import LONG, until
from dask_bacc.kubernetes.schemas import definitions
from tests.kubernetes.world.kubeconfig import written

#: Paths of kinds in the API.
PATHS = {
    "PriorityClass": "apis/scheduling.k8s.io/v1/priorityclasses",
    "Secret": "api/v1/namespaces/default/secrets",
    "NetworkPolicy": "apis/networking.k8s.io/v1/namespaces/default/networkpolicies",
    "PodDisruptionBudget": "apis/policy/v1/namespaces/default/poddisruptionbudgets",
    "DaskCluster": "apis/kubernetes.dask.org/v1/namespaces/default/daskclusters",
    "DaskJob": "apis/kubernetes.dask.org/v1/namespaces/default/daskjobs",
    "DaskAutoscaler": "apis/kubernetes.dask.org/v1/namespaces/default/daskautoscalers",
    "Pod": "api/v1/namespaces/default/pods",
    "Deployment": "apis/apps/v1/namespaces/default/deployments",
}
SPACES = ("-n", "-m", "-p", "-f", "--kill-child", "--mount-proc")


class World:
    """A Kubernetes cluster of this machine's; see world/README.md.

    Parameters
    ----------
    folder : Path
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # The network is another one inside, but a socket stays in that where it was opened.
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self.port = listening.getsockname()[1]
            number = listening.fileno()
            with (folder / "world.log").open("wb") as log:
                self._process = subprocess.Popen(
                    [
                        *("unshare", *SPACES),
                        *(sys.executable, "-m", "tests.kubernetes.world"),
                        *(str(number), str(folder)),
                    ],
                    pass_fds=[number],
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
        self.config = written(folder / "config.yaml", self.port)
        try:
            until(self._answers, LONG, self.logs)
            for definition in definitions():
                path = "apis/apiextensions.k8s.io/v1/customresourcedefinitions"
                self.request("POST", path, definition)
            self.operator("start")
        except BaseException:
            self.close()
            raise

    def request(self, method: str, path: str, body: Any = None) -> Any:
        """Ask the API server."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/{path}",
            None if body is None else json.dumps(body).encode(),
            {"Content-Type": "application/merge-patch+json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=LONG) as response:
            return json.loads(response.read() or b"null")

    def apply(self, manifests: list[dict[str, Any]]) -> None:
        """As ``kubectl apply`` does, of objects that are not there yet."""
        for manifest in manifests:
            self.request("POST", PATHS[manifest["kind"]], manifest)

    def delete(self, manifests: list[dict[str, Any]]) -> None:
        """As ``kubectl delete`` does."""
        for manifest in manifests:
            path = f"{PATHS[manifest['kind']]}/{manifest['metadata']['name']}"
            try:
                self.request("DELETE", path)
            except urllib.error.HTTPError as error:
                if error.code != 404:
                    raise

    def all(self, kind: str, **labels: str) -> list[dict[str, Any]]:
        """Objects of a kind with labels of dask's."""
        selector = ",".join(f"dask.org/{n.replace('_', '-')}={v}" for n, v in labels.items())
        found: list[dict[str, Any]] = self.request(
            "GET", f"{PATHS[kind]}?labelSelector={selector}"
        )["items"]
        return found

    def workers(self, cluster: str) -> dict[str, dict[str, Any]]:
        """Pods of a cluster's workers, by the names that the workers have."""
        pods = self.all("Pod", cluster_name=cluster, component="worker")
        return {
            variable["value"]: pod
            for pod in pods
            if "deletionTimestamp" not in pod["metadata"]
            for variable in pod["spec"]["containers"][0]["env"]
            if variable["name"] == "DASK_WORKER_NAME"
        }

    def remove(self, pod: dict[str, Any], grace: int | None = None) -> None:
        """Delete a pod; with a grace of 0 there is no notice."""
        query = "" if grace is None else f"?gracePeriodSeconds={grace}"
        self.request("DELETE", f"{PATHS['Pod']}/{pod['metadata']['name']}{query}")

    def evict(self, pod: dict[str, Any]) -> bool:
        """Delete a pod as who drains its node does; False if a disruption budget forbids it."""
        try:
            self.request("POST", f"{PATHS['Pod']}/{pod['metadata']['name']}/eviction", {})
        except urllib.error.HTTPError as error:
            if error.code != 429:
                raise
            return False
        return True

    def log(self, pod: dict[str, Any]) -> str:
        """What a pod has said."""
        name = pod["metadata"]["name"]
        with urllib.request.urlopen(
            f"http://127.0.0.1:{self.port}/{PATHS['Pod']}/{name}/log", timeout=LONG
        ) as response:
            return response.read().decode()

    def node(self, name: str, how: str) -> None:
        """Pull a node's cable ("cut"), or plug it in ("connect")."""
        self.request("POST", f"world/nodes/{name}/{how}")

    def operator(self, how: str) -> None:
        """Kill the operator ("stop"), or kill and start it ("start")."""
        self.request("POST", f"world/operator/{how}")

    def logs(self) -> str:
        """What has been said in the world."""
        paths = sorted(self.folder.rglob("*log"))
        return "\n".join(f"--- {path}\n{path.read_text()[-4000:]}" for path in paths)

    def close(self) -> None:
        """End it, with all that is in it."""
        self._process.send_signal(signal.SIGTERM)
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        # A world that has ended has none.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for pid in children.read_text().split():
                os.kill(int(pid), signal.SIGTERM)
        try:
            self._process.wait(timeout=20)
        finally:
            self._process.kill()
            self._process.wait()

    def _answers(self) -> bool:
        if (code := self._process.poll()) is not None:
            raise RuntimeError(f"the world ended with {code}: {self.logs()}")
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=1)
        except OSError:
            return False
        return True
