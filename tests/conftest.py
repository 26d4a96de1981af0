from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import dask
import pytest
from distributed import Client, Event, LocalCluster
from distributed.utils import get_mp_context
from hypothesis import settings

settings.register_profile("default", deadline=None, max_examples=50)
settings.load_profile("default")


# Workers are forked from a process that has imported everything: they start in a fraction of the
# time, and none takes its first chunk seconds after the others.
dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"})
get_mp_context().set_forkserver_preload(
    ["distributed", "distributed.nanny", "dask.array", "scipy.linalg", "dask_bacc"]
)


def local_cluster(workers: int, threads: int = 1, **options: Any) -> LocalCluster:
    """Workers on this machine, by default processes, without a dashboard."""
    return LocalCluster(
        n_workers=workers,
        threads_per_worker=threads,
        dashboard_address="127.0.0.1:0",
        scheduler_kwargs={"dashboard": False},
        **options,
    )


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


def closed_gate(client: Client) -> Iterator[str]:
    event = Event(f"gate-{uuid.uuid4()}", client=client)
    yield event.name
    event.set()


@pytest.fixture
def gate(client: Client) -> Iterator[str]:
    """Name of an event for which tasks can wait; set at the end, so that none stays behind."""
    yield from closed_gate(client)


@pytest.fixture
def other_gate(client: Client) -> Iterator[str]:
    """Another, to hold a run up until what it is to meet is there."""
    yield from closed_gate(client)


@pytest.fixture
def configure() -> Iterator[Callable[[dict[str, object]], object]]:
    """Sets dask's configuration until the test ends."""
    with contextlib.ExitStack() as stack:
        yield lambda config: stack.enter_context(dask.config.set(config))


@pytest.fixture
def patient(configure: Callable[[dict[str, object]], object]) -> None:
    """A busy machine may hold up a chunk's messages for longer than runs wait for them."""
    configure({"bacc.timing.messages-within": 30.0, "bacc.timing.fetch-after": 30.0})


def wait_until(condition: Callable[[], object], timeout: float = 30.0) -> None:
    """Poll until the condition holds; a test that waits in vain fails here."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "condition did not come true"
        time.sleep(0.01)
