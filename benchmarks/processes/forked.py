"""Programs that run in forks of a process which has imported everything, and so start at once."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import runpy
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from multiprocessing import connection, forkserver
from pathlib import Path

import dask
import threadpoolctl
from distributed.utils import get_mp_context

#: What schedulers and workers need.
IMPORTED = [
    *("distributed", "distributed.nanny", "distributed.cli.dask_worker"),
    *("distributed.cli.dask_scheduler", "dask.array", "scipy.linalg", "dask_bacc.api"),
]
CONTEXT = multiprocessing.get_context("forkserver")
#: Configuration of workers that look at themselves less than a hundred times a second.
QUIET = {
    "distributed.worker.profile.enabled": False,
    "distributed.worker.memory.monitor-interval": "1s",
    "distributed.admin.tick.interval": "500ms",
    "distributed.admin.system-monitor.interval": "10s",
}


def fork_workers(*modules: str) -> None:
    """From now on Dask's worker processes are forks of one that has imported these modules, too.

    They start in a fraction of the time, and none takes its first chunk seconds after the others.
    What is not installed is passed over.
    """
    dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"})
    get_mp_context().set_forkserver_preload([*IMPORTED, *modules])


class Forked:
    """``python -m module``, in a session of its own.

    Parameters
    ----------
    module : str
    arguments : sequence of str
    environment : mapping
        Its variables. What modules read when they are imported is that of the fork server.
    log : Path
        Of what it says.
    folder : Path, optional
        Where it works; by default where the fork server does.
    """

    def __init__(
        self,
        module: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        folder: Path | None = None,
    ) -> None:
        self._process = CONTEXT.Process(
            target=_run, args=(module, [*arguments], dict(environment), log, folder)
        )
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def send_signal(self, sign: int) -> None:
        """Send a signal."""
        os.kill(self.pid, sign)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; the exit code.

        Raises
        ------
        subprocess.TimeoutExpired
        """
        self._process.join(timeout)
        if (code := self._process.exitcode) is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
        return code


def _run(
    module: str,
    arguments: list[str],
    environment: dict[str, str],
    log: Path,
    folder: Path | None,
) -> None:
    os.setsid()
    if folder is not None:
        os.chdir(folder)
    said = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(said, stream)
    os.environ.clear()
    os.environ.update(environment)
    dask.config.refresh()
    if threads := environment.get("OPENBLAS_NUM_THREADS"):
        threadpoolctl.threadpool_limits(int(threads))
    # Here already, if the process that this is a fork of was told to.
    for name in IMPORTED:
        importlib.import_module(name)
    _fork_server()
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _fork_server() -> None:
    """Have what this process starts by the standard library's fork server forked from itself.

    The fork server's own would be in another session, and a new one would import all once more.
    """
    with socket.socket(socket.AF_UNIX) as listener:
        address = connection.arbitrary_address("AF_UNIX")
        listener.bind(address)
        listener.listen()
        # Ends when all who have the other end are gone.
        ended, alive = os.pipe()
        if (pid := os.fork()) == 0:
            os.close(alive)
            try:
                forkserver.main(listener.fileno(), ended, [])
            finally:
                os._exit(0)
        os.close(ended)
    server = forkserver._forkserver  # type: ignore[attr-defined]
    server._forkserver_address, server._forkserver_alive_fd = address, alive
    server._forkserver_pid = pid
