from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import dask
import pytest
from distributed import Client, LocalCluster
from hypothesis import settings

from benchmarks.processes.forked import QUIET, fork_workers
from tests.shared import closed_gate, local_cluster

settings.register_profile("default", deadline=None, max_examples=50)
settings.load_profile("default")


fork_workers("benchmarks.processes.forked", "dask_bacc.learn")
# Those that have nothing to do would look at themselves beside what is tested.
dask.config.set(QUIET)


@pytest.fixture(scope="session")
def processes() -> Iterator[LocalCluster]:
    """Four worker processes of one thread each, shared by tests that leave them well."""
    with local_cluster(4) as cluster:
        yield cluster


@pytest.fixture
def client(processes: LocalCluster) -> Iterator[Client]:
    with Client(processes) as client:
        yield client


@pytest.fixture
def local() -> Iterator[Client]:
    """Four worker threads in this process."""
    with (
        local_cluster(1, threads=4, processes=False) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


@pytest.fixture
def configure() -> Iterator[Callable[[dict[str, object]], object]]:
    """Sets dask's configuration until the test ends."""
    with contextlib.ExitStack() as stack:
        yield lambda config: stack.enter_context(dask.config.set(config))


@pytest.fixture
def no_copies(configure: Callable[[dict[str, object]], object]) -> None:
    """Blocks that wait at a gate stay missing."""
    configure({"bacc.copies": False})


@pytest.fixture
def gate(client: Client, no_copies: None) -> Iterator[str]:
    """Name of an event for which tasks can wait; set at the end, so that none stays behind.

    Copies of blocks that wait would wait as well, and take threads that tests count on.
    """
    with closed_gate(client) as name:
        yield name


@pytest.fixture
def other_gate(client: Client) -> Iterator[str]:
    """Another, to hold a run up until what it is to meet is there."""
    with closed_gate(client) as name:
        yield name


@pytest.fixture
def patient(configure: Callable[[dict[str, object]], object]) -> None:
    """A busy machine may hold up a chunk's messages for longer than runs wait for them."""
    configure({"bacc.timing.messages-within": 30.0, "bacc.timing.fetch-after": 30.0})


@pytest.fixture
def results_stay(configure: Callable[[dict[str, object]], object]) -> None:
    """Results of more than ten kilobytes stay on their workers until they are wanted."""
    configure({"bacc.gather-limit": "10 kB"})
