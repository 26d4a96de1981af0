"""A scheduler and workers, each a process of its own, that can be stopped, killed and healed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from distributed import Client, Worker

from benchmarks.processes.forked import Forked

#: How the processes are configured: nothing but what keeps them light and quick to replace.
CONFIG = {
    "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False",
    "DASK_DISTRIBUTED__WORKER__MULTIPROCESSING_METHOD": "forkserver",
    "OPENBLAS_NUM_THREADS": "1",
}
#: Seconds in which a worker is expected to answer.
ANSWER_WITHIN = 2.0
#: Far longer than anything takes, in seconds.
LONG = 180.0


def until(
    condition: Callable[[], object],
    timeout: float,
    what: str | Callable[[], str],
    every: float = 0.01,
) -> None:
    """Poll until the condition holds; `every` so many seconds, for it may cost something.

    Raises
    ------
    TimeoutError
        Which says what did not come true.
    """
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"after {timeout:g} s: {what() if callable(what) else what}")
        time.sleep(every)


class Cluster:
    """A scheduler process, and processes that host workers with nannies or are workers without.

    Parameters
    ----------
    workers : int
        Workers that are started at once, with nannies, in one process.
    threads : int
        Of each worker.
    config : mapping
        Environment variables of all processes.
    host : str
        Address on which the scheduler and workers listen.
    preload : sequence of str
        Modules that all processes import before they take anything to do: some would be seconds
        behind others.
    """

    def __init__(
        self,
        workers: int = 0,
        threads: int = 1,
        config: Mapping[str, str] | None = None,
        host: str = "127.0.0.1",
        preload: Sequence[str] = ("dask_bacc",),
    ) -> None:
        self.workers, self.threads, self.host = 0, threads, host
        self._directory = Path(tempfile.mkdtemp(prefix="processes-"))
        self._file = self._directory / "scheduler.json"
        self._environment = {
            **os.environ,
            **CONFIG,
            **(config or {}),
            "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path),
        }
        self._preload = [option for module in preload for option in ("--preload", module)]
        self.processes: list[Forked | subprocess.Popen[bytes]] = []
        self.scheduler = self._start(
            "distributed.cli.dask_scheduler", "--host", host, "--port", "0", *self._preload
        )
        if workers:
            self.add(workers)

    def add(
        self, workers: int = 1, *options: str, host: str | None = None, prefix: Sequence[str] = ()
    ) -> Forked | subprocess.Popen[bytes]:
        """Start workers in one process; ``"--no-nanny"`` to have one that is itself the worker."""
        self.workers += workers
        return self._start(
            "benchmarks.processes.host",
            *("--nworkers", str(workers), "--nthreads", str(self.threads)),
            *("--host", host or self.host, "--local-directory", str(self._directory)),
            *self._preload,
            *(() if "--memory-limit" in options else ("--memory-limit", "0")),
            *options,
            prefix=prefix,
        )

    def _start(
        self, module: str, *options: str, prefix: Sequence[str] = ()
    ) -> Forked | subprocess.Popen[bytes]:
        arguments = ["--no-dashboard", "--scheduler-file", str(self._file), *options]
        path = self._directory / f"{module}-{len(self.processes)}.log"
        process: Forked | subprocess.Popen[bytes]
        if prefix:
            with path.open("wb") as log:
                process = subprocess.Popen(
                    [*prefix, sys.executable, "-m", module, *arguments],
                    stdout=log,
                    stderr=log,
                    env=self._environment,
                    start_new_session=True,
                )
        else:
            process = Forked(module, arguments, self._environment, path)
        self.processes.append(process)
        return process

    @contextlib.contextmanager
    def client(self) -> Iterator[Client]:
        """A client, once all workers are there."""
        until(self._file.exists, LONG, "the scheduler did not start")
        with Client(scheduler_file=str(self._file), set_as_default=False, timeout=LONG) as client:
            until(lambda: len(pids(client)) == self.workers, LONG, "workers did not start")
            yield client

    def logs(self) -> str:
        """What the processes said."""
        return "\n".join(
            f"--- {path.name}\n{path.read_text()}"
            for path in sorted(self._directory.glob("*.log"))
        )

    def close(self) -> None:
        """End all processes, stopped ones too."""
        for sign in (signal.SIGCONT, signal.SIGKILL):
            for process in self.processes:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, sign)
        for process in self.processes:
            process.wait()
        shutil.rmtree(self._directory, ignore_errors=True)


def pids(client: Client) -> dict[str, int]:
    """Process of every worker that the scheduler knows, by address, hung ones included."""
    found: dict[str, int] = client.run_on_scheduler(
        lambda dask_scheduler: {a: w.pid for a, w in dask_scheduler.workers.items()}
    )
    return dict(sorted(found.items()))


def send(pid: int, sign: signal.Signals) -> None:
    """Send a signal to a process, which may be gone."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, sign)


def alive(pid: int) -> bool:
    """Whether the process exists and is no zombie of the kernel's."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def tasks_on_workers(client: Client) -> dict[str, Any]:
    """Keys that workers know, with their last two states. No worker may be stopped.

    What a worker says that has died or is being restarted counts as well.
    """

    def known(dask_worker: Worker) -> dict[str, Any]:
        return {str(t.key): (t.state, t.previous) for t in dask_worker.state.tasks.values()}

    async def ask(address: str) -> Any:
        # The scheduler tries for 30 s to reach a worker that has died.
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                said = await client.run(known, workers=[address], on_error="return")
                return said[address]
        except TimeoutError as error:
            return error

    async def ask_all(addresses: Sequence[str]) -> list[Any]:
        return await asyncio.gather(*map(ask, addresses))

    workers = list(pids(client))
    found = zip(workers, client.sync(ask_all, workers), strict=True)
    return {address: tasks for address, tasks in found if tasks}
