from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator

import pytest
from distributed import Client, LocalCluster


@pytest.fixture
def cluster() -> Iterator[Client]:
    """Six worker processes that a test may stop and kill."""
    with (
        LocalCluster(
            n_workers=6,
            threads_per_worker=1,
            dashboard_address="127.0.0.1:0",
            scheduler_kwargs={"dashboard": False},
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


@pytest.fixture
def hang() -> Iterator[Callable[[int], None]]:
    """Stops a process; all are resumed at the end, so that they can be closed."""
    stopped: list[int] = []

    def stop(pid: int) -> None:
        os.kill(pid, signal.SIGSTOP)
        stopped.append(pid)

    yield stop
    for pid in stopped:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
