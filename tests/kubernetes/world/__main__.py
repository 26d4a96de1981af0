"""A world in namespaces of its own, which ends with this process.

``unshare ... python -m tests.kubernetes.world SOCKET FOLDER``: requests come by an open socket, of
the network from which the world was started.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import subprocess
import sys
from pathlib import Path

import aiohttp
from aiohttp import web

from tests.kubernetes.world.controllers import supervised
from tests.kubernetes.world.kubeconfig import written
from tests.kubernetes.world.kubelet import Kubelet
from tests.kubernetes.world.server import Server
from tests.kubernetes.world.store import Store

#: Where the operator finds the API server, and says that it lives.
PORT, LIVENESS = 6443, 8080


class Operator:
    """dask-kubernetes' operator, as it is."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._config = written(folder / "inside.yaml", PORT)
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Start it, and wait until it lives."""
        kopf = str(Path(sys.executable).parent / "kopf")
        module = "dask_kubernetes.operator.controller"
        url = f"http://127.0.0.1:{LIVENESS}/healthz"
        with (self._folder / "operator.log").open("ab") as log:
            self._process = subprocess.Popen(
                [kopf, "run", "-m", module, "--standalone", "-A", f"--liveness={url}"],
                env={"KUBECONFIG": str(self._config), "HOME": str(self._folder)},
                stdout=log,
                stderr=log,
            )
        async with aiohttp.ClientSession() as http:
            while True:
                with contextlib.suppress(aiohttp.ClientError):
                    async with http.get(url):
                        return
                await asyncio.sleep(0.05)

    def stop(self) -> None:
        """Kill it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


async def main(number: int, folder: Path) -> None:
    store = Store()
    kubelet = Kubelet(store, folder)
    server, operator = Server(store, kubelet.log_of), Operator(folder)

    async def cut(request: web.Request) -> web.Response:
        kubelet.cut(request.match_info["node"], connected=request.match_info["how"] == "connect")
        return web.Response()

    async def operate(request: web.Request) -> web.Response:
        operator.stop()
        if request.match_info["how"] == "start":
            await operator.start()
        return web.Response()

    app = web.Application(client_max_size=2**24)
    app.router.add_post("/world/nodes/{node}/{how}", cut)
    app.router.add_post("/world/operator/{how}", operate)
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", PORT).start()
    await web.SockSite(runner, socket.socket(fileno=number)).start()
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    tasks = [asyncio.create_task(supervised(store)), asyncio.create_task(kubelet.run())]
    await over.wait()
    for task in tasks:
        task.cancel()
    operator.stop()
    kubelet.close()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2])))
