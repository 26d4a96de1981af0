"""Clusters on which chaos draws are carried out."""

from __future__ import annotations

import contextlib
import signal

import numpy as np

import dask_bacc
from benchmarks.chaos.awake import AwakeClock
from benchmarks.chaos.leaks import Baseline
from benchmarks.processes.cluster import Cluster, send

#: What runs on the workers.
PRELOADED = ("benchmarks.chaos.workload",)


class Arena:
    """A cluster of one shape that outlives its draws, replaced when it cannot be healed.

    A cold one is for a single draw, and nothing has run on it.
    """

    def __init__(self, shape: tuple[int, int], clock: AwakeClock, *, cold: bool = False) -> None:
        self.shape, self.clock, self.cold = shape, clock, cold
        self.cluster = Cluster(*shape, preload=PRELOADED)
        self._stack = contextlib.ExitStack()
        try:
            self.client = self._stack.enter_context(self.cluster.client())
            if not cold:
                self._warm_up()
        except BaseException:
            self.close()
            raise
        self.baseline = Baseline.of(self.client)

    def _warm_up(self) -> None:
        """Start what stays for good, such as threads of executors."""
        coded = dask_bacc.encode(np.arange(12.0), k=4, n=6)
        coded.map(np.tanh, client=self.client).result(timeout=120)

    def close(self) -> None:
        """End the client and all processes."""
        send(self.cluster.scheduler.pid, signal.SIGCONT)
        try:
            self._stack.close()
        finally:
            self.cluster.close()
