from __future__ import annotations

import contextlib
import gc
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from distributed import Client

from benchmarks.chaos.leaks import Baseline
from benchmarks.processes.cluster import Cluster
from tests.shared import local_cluster


@pytest.fixture
def cluster() -> Iterator[Client]:
    """Six worker processes that a test may stop and kill."""
    with (
        local_cluster(6) as cluster,
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


@pytest.fixture
def start() -> Iterator[Callable[..., Cluster]]:
    """Starts clusters whose scheduler is a process too; takes the arguments of `Cluster`."""
    with contextlib.ExitStack() as stack:

        def make(*args: Any, **options: Any) -> Cluster:
            cluster = Cluster(*args, preload=("tests.faults.work",), **options)
            stack.callback(cluster.close)
            return cluster

        yield make


@pytest.fixture
def gate(tmp_path: Path, no_copies: None) -> Iterator[Path]:
    """A file that chunks wait for, deaf to all calls; it is there at the end in any case.

    Copies would wait as well, unless a test asks for them.
    """
    path = tmp_path / "gate"
    yield path
    path.touch()


@pytest.fixture
def nothing_left() -> Callable[[Client], contextlib.AbstractContextManager[None]]:
    """Checks that a block leaves no key, future, thread, connection or descriptor behind.

    Not even for the garbage collector, which comes when it likes.
    """

    @contextlib.contextmanager
    def checked(client: Client) -> Iterator[None]:
        baseline = Baseline.of(client)
        gc.disable()
        try:
            yield
            baseline.check_keys(client)
            baseline.check_process(client)
        finally:
            gc.enable()

    return checked
