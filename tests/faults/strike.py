"""Faults that strike a worker at a precise moment: as a task of some kind comes to some state."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distributed import Worker, WorkerPlugin


class Strike(WorkerPlugin):
    """Signals the first worker on which a task of that kind comes to that state.

    Parameters
    ----------
    prefix : str
        Of the task's key.
    state : str
        ``"executing"``, ``"memory"``.
    sign : Signals
        What the worker's process gets.
    struck : Path
        A file that is there once it has happened; it happens once.
    """

    name = "strike"

    def __init__(self, prefix: str, state: str, sign: signal.Signals, struck: Path) -> None:
        self.prefix, self.state, self.sign, self.struck = prefix, state, sign, struck

    def transition(self, key: Any, start: str, finish: str, **kwargs: Any) -> None:
        if finish == self.state and str(key[0]).startswith(self.prefix):
            try:
                self.struck.touch(exist_ok=False)
            except FileExistsError:
                return
            os.kill(os.getpid(), self.sign)


class StrikeSource(WorkerPlugin):
    """Stops the worker from which another is about to fetch something of some kind.

    Parameters
    ----------
    prefixes : tuple of str
        Of the keys.
    pids : mapping
        Processes of all workers.
    struck : Path
        A file with the address of the worker that fetches; it happens once.
    """

    name = "strike-source"

    def __init__(self, prefixes: tuple[str, ...], pids: Mapping[str, int], struck: Path) -> None:
        self.prefixes, self.pids, self.struck = prefixes, pids, struck

    def setup(self, worker: Worker) -> None:
        self.worker = worker

    def transition(self, key: Any, start: str, finish: str, **kwargs: Any) -> None:
        if finish != "flight" or not str(key[0]).startswith(self.prefixes):
            return
        source = self.worker.state.tasks[key].coming_from
        assert source is not None
        try:
            with self.struck.open("x") as file:
                os.kill(self.pids[source], signal.SIGSTOP)
                file.write(self.worker.address)
        except FileExistsError:
            return
