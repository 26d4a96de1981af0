"""Runs the containers of pods, on nodes of which each has a cable."""

from __future__ import annotations

import asyncio
import itertools
import signal
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from tests.kubernetes.world.containers import Container
from tests.kubernetes.world.controllers import is_leaving
from tests.kubernetes.world.network import Network
from tests.kubernetes.world.selectors import matches
from tests.kubernetes.world.store import ApiError, Object, Store, now

NODES = ("node-1", "node-2", "node-3", "node-4")
#: Seconds between looks at containers that are not ready yet, and at those that are.
SOON, LATER = 0.1, 0.25
#: Seconds until a container is started again, the first time; twice as many the next.
BACK_OFF = 0.5


@dataclass
class Running:
    """A pod that has been started."""

    uid: str
    namespace: str
    name: str
    node: str
    network: str
    address: str
    container: Container | None = None
    ready: bool = False
    restarts: int = 0
    leaving: bool = False


class Kubelet:
    """Runs all pods of a store.

    Parameters
    ----------
    store : Store
    folder : Path
    """

    def __init__(self, store: Store, folder: Path) -> None:
        self._store, self._folder = store, folder
        self._network = Network(folder / "hosts")
        self._running: dict[str, Running] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._nodes = itertools.cycle(NODES)
        self._http: aiohttp.ClientSession

    def log_of(self, namespace: str, name: str) -> str:
        """What a pod has said."""
        path = self._folder / "pods" / namespace / name / "log"
        return path.read_text() if path.exists() else ""

    def cut(self, node: str, *, connected: bool) -> None:
        """Pull a node's cable, or plug it in."""
        for pod in self._running.values():
            if pod.node == node:
                self._network.connect(pod.network, connected=connected)

    async def run(self) -> None:
        """Start pods that are new, and stop those that are to leave."""
        async with aiohttp.ClientSession() as self._http:
            while True:
                changed = self._store.next_change()
                self._look()
                await changed.wait()

    def close(self) -> None:
        """End all containers."""
        for pod in list(self._running.values()):
            if pod.container is not None:
                pod.container.kill()
                pod.container.forget()

    def _look(self) -> None:
        pods = self._store.all(self._store.kind("pods"))
        there = {pod["metadata"]["uid"]: pod for pod in pods}
        for uid, pod in there.items():
            running = self._running.get(uid)
            if running is None and not is_leaving(pod):
                if pod["status"]["phase"] == "Pending":
                    self._begin(pod)
            elif running is None:
                self._store.remove(self._store.kind("pods"), *_place(pod))
            elif is_leaving(pod) and not running.leaving:
                grace = pod["metadata"]["deletionGracePeriodSeconds"]
                self._in_background(self._stop(running, grace))
        for uid, running in list(self._running.items()):
            # What was deleted by force is gone before its containers are.
            if uid not in there and not running.leaving:
                self._in_background(self._stop(running, 0))
        self._serve()

    def _begin(self, pod: Object) -> None:
        network, address = self._network.add()
        uid, (namespace, name) = pod["metadata"]["uid"], _place(pod)
        running = Running(uid, namespace, name, next(self._nodes), network, address)
        self._running[uid] = running
        self._in_background(self._keep(pod, running))

    async def _keep(self, pod: Object, running: Running) -> None:
        """Run a pod's container, again and again if that is wanted."""
        secrets = self._store.all(self._store.kind("secrets"), running.namespace)
        data = {s["metadata"]["name"]: s.get("data") or {} for s in secrets}
        folder = self._folder / "pods" / running.namespace / running.name
        policy, wait = pod["spec"]["restartPolicy"], BACK_OFF
        while not running.leaving:
            running.container = Container(pod, running.network, running.address, folder, data)
            self._say(running, "Running", {"running": {"startedAt": now()}})
            while (code := running.container.code) is None:
                ready = await self._is_ready(pod, running)
                if ready != running.ready:
                    running.ready = ready
                    self._say(running, "Running", {"running": {"startedAt": now()}})
                await asyncio.sleep(LATER if ready else SOON)
            running.ready = False
            if running.leaving:
                return
            if policy == "Never" or (policy == "OnFailure" and code == 0):
                done = {"exitCode": code, "reason": "Completed" if code == 0 else "Error"}
                phase = "Succeeded" if code == 0 else "Failed"
                self._say(running, phase, {"terminated": done})
                return
            running.restarts += 1
            self._say(running, "Running", {"waiting": {"reason": "CrashLoopBackOff"}})
            await asyncio.sleep(wait)
            wait *= 2

    async def _stop(self, running: Running, grace: float) -> None:
        """Tell a container to end, and end it when its time is over."""
        running.leaving, running.ready = True, False
        self._serve()
        if (container := running.container) is not None:
            if grace > 0:
                container.send(signal.SIGTERM)
                until = time.monotonic() + grace
                while container.code is None and time.monotonic() < until:
                    await asyncio.sleep(SOON)
            container.kill()
            container.forget()
        self._network.remove(running.network)
        del self._running[running.uid]
        pods = self._store.kind("pods")
        try:
            found = self._store.find(pods, running.namespace, running.name)
        except ApiError:
            return
        if found["metadata"]["uid"] == running.uid:
            self._store.remove(pods, running.namespace, running.name)

    async def _is_ready(self, pod: Object, running: Running) -> bool:
        container = pod["spec"]["containers"][0]
        if (probe := container.get("readinessProbe")) is None:
            return True
        named = {port["name"]: port["containerPort"] for port in container["ports"]}
        asked = probe["httpGet"]
        port = named.get(asked["port"], asked["port"])
        url = f"http://{running.address}:{port}{asked['path']}"
        try:
            async with self._http.get(url, timeout=aiohttp.ClientTimeout(total=1)) as response:
                return response.status < 400
        except (aiohttp.ClientError, TimeoutError):
            return False

    def _say(self, running: Running, phase: str, state: Object) -> None:
        """Enter how a pod is."""
        pods = self._store.kind("pods")
        try:
            pod = self._store.find(pods, running.namespace, running.name)
        except ApiError:
            return
        container = pod["spec"]["containers"][0]
        ready = {"status": str(running.ready), "lastTransitionTime": now()}
        status = {
            "phase": phase,
            "podIP": running.address,
            "podIPs": [{"ip": running.address}],
            "conditions": [
                {"type": "PodScheduled", "status": "True"},
                {"type": "Ready", **ready},
                {"type": "ContainersReady", **ready},
            ],
            "containerStatuses": [
                {
                    "name": container["name"],
                    "image": container.get("image", ""),
                    "ready": running.ready,
                    "restartCount": running.restarts,
                    "state": state,
                }
            ],
        }

        def alter(altered: Object) -> None:
            altered["status"] = status
            altered["spec"]["nodeName"] = running.node

        self._store.change(pods, pod, alter)

    def _serve(self) -> None:
        """Services are answered by the first of their pods that is ready."""
        found: dict[str, tuple[str, str | None]] = {}
        pods = self._store.all(self._store.kind("pods"))
        for service in self._store.all(self._store.kind("services")):
            namespace, name = _place(service)
            selector = service["spec"].get("selector")
            able = (
                self._running[uid].network
                for pod in pods
                if (uid := pod["metadata"]["uid"]) in self._running
                and self._running[uid].ready
                and pod["metadata"]["namespace"] == namespace
                and matches(selector, pod)
            )
            address = service["spec"]["clusterIP"]
            found[f"{name}.{namespace}"] = address, next(able, None)
        self._network.serve(found)

    def _in_background(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            task.get_loop().call_exception_handler({"message": "a pod", "exception": error})


def _place(found: Object) -> tuple[str, str]:
    return found["metadata"]["namespace"], found["metadata"]["name"]
