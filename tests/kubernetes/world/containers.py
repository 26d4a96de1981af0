"""Containers: processes with namespaces, variables, secrets and a limit of memory of their own."""

from __future__ import annotations

import base64
import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.kubernetes.world.store import Object

MEMORY = Path("/sys/fs/cgroup/memory")
#: In names of groups of this world, beside those of others.
WORLD = secrets.token_hex(4)
#: At removing a group.
ATTEMPTS = 100
UNITS = {"": 1.0, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}


def quantity(text: str) -> float:
    """A number, as Kubernetes writes it."""
    found = re.fullmatch(r"([0-9.]+)([A-Za-z]*)", str(text))
    assert found is not None, text
    return float(found[1]) * UNITS[found[2]]


class Container:
    """The only container of a pod.

    Parameters
    ----------
    pod : dict
    namespace, address : str
        Of the network.
    folder : Path
        For its files.
    data : mapping
        Of Secrets, by name.
    """

    def __init__(
        self,
        pod: Object,
        namespace: str,
        address: str,
        folder: Path,
        data: Mapping[str, Mapping[str, str]],
    ) -> None:
        self._spec: Object = pod["spec"]["containers"][0]
        limits = self._spec.get("resources", {}).get("limits", {})
        variables = self._variables(pod["metadata"], limits, address)
        command = [*self._spec.get("command", []), *self._spec.get("args", [])]
        arguments = [
            re.sub(r"\$\((\w+)\)", lambda found: variables.get(found[1], found[0]), part)
            for part in command
        ]
        steps = [*self._limited(namespace, limits), *self._mounted(pod, folder, data)]
        script = "; ".join([*steps, 'exec "$@"'])
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "log").open("ab") as log:
            # Killing the outer process kills all that is in the namespace of processes.
            self._process = subprocess.Popen(
                [
                    *("nsenter", f"--net=/run/netns/{namespace}"),
                    *("unshare", "-m", "-p", "-u", "-f", "--kill-child", "--mount-proc"),
                    *("sh", "-c", script, "sh", *arguments),
                ],
                env={
                    # What would be in the image is what is installed here.
                    "PATH": f"{Path(sys.executable).parent}:/usr/sbin:/usr/bin:/sbin:/bin",
                    "HOME": str(folder),
                    "LANG": "C.UTF-8",
                    "OMP_NUM_THREADS": "1",
                    **variables,
                },
                cwd=folder,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    @property
    def code(self) -> int | None:
        """Of the process that has ended; None while it runs."""
        return self._process.poll()

    def send(self, sign: signal.Signals) -> None:
        """Send a signal to the container's first process."""
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        try:
            for pid in children.read_text().split():
                os.kill(int(pid), sign)
        except (FileNotFoundError, ProcessLookupError):
            return

    def kill(self) -> None:
        """End it without notice."""
        if self.code is None:
            self._process.kill()
        self._process.wait()

    def forget(self) -> None:
        """Remove its limit of memory."""
        if self._group is None:
            return
        # It is in use until the kernel is through with the last process.
        for _ in range(ATTEMPTS):
            try:
                self._group.rmdir()
            except FileNotFoundError:
                return
            except OSError:
                time.sleep(0.02)

    def _variables(self, metadata: Object, limits: Object, address: str) -> dict[str, str]:
        fields = {
            "status.podIP": address,
            "metadata.name": metadata["name"],
            "metadata.namespace": metadata["namespace"],
        }
        found: dict[str, str] = {}
        for entry in self._spec.get("env") or []:
            source: Any = entry.get("valueFrom", {})
            if "resourceFieldRef" in source:
                resource = source["resourceFieldRef"]["resource"].rpartition(".")[2]
                found[entry["name"]] = str(int(quantity(limits[resource])))
            elif "fieldRef" in source:
                found[entry["name"]] = fields[source["fieldRef"]["fieldPath"]]
            else:
                found[entry["name"]] = entry.get("value", "")
        return found

    def _limited(self, namespace: str, limits: Object) -> list[str]:
        """What limits memory from the container's first process on."""
        self._group = None
        if "memory" not in limits or not MEMORY.is_dir():
            return []
        self._group = MEMORY / f"dask-bacc-{WORLD}-{namespace}"
        self._group.mkdir(exist_ok=True)
        (self._group / "memory.limit_in_bytes").write_text(str(int(quantity(limits["memory"]))))
        return [f"echo $$ > {self._group}/cgroup.procs"]

    def _mounted(
        self, pod: Object, folder: Path, secret: Mapping[str, Mapping[str, str]]
    ) -> list[str]:
        """Secrets as files."""
        places = {m["name"]: m["mountPath"] for m in self._spec.get("volumeMounts") or []}
        steps = []
        for volume in pod["spec"].get("volumes") or []:
            there = folder / "volumes" / volume["name"]
            there.mkdir(parents=True, exist_ok=True)
            for name, text in secret.get(volume["secret"]["secretName"], {}).items():
                (there / name).write_bytes(base64.b64decode(text))
            place = places[volume["name"]]
            steps += [f"mkdir -p {place}", f"mount --bind {there} {place}"]
        return steps
