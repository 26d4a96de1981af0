from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from distributed import Client, LocalCluster
from hypothesis import settings

settings.register_profile("default", deadline=None, max_examples=50)
settings.load_profile("default")


@pytest.fixture(scope="session")
def processes() -> Iterator[LocalCluster]:
    """Four worker processes of one thread each, shared by tests that leave them well."""
    with LocalCluster(
        n_workers=4,
        threads_per_worker=1,
        dashboard_address="127.0.0.1:0",
        scheduler_kwargs={"dashboard": False},
    ) as cluster:
        yield cluster


@pytest.fixture
def client(processes: LocalCluster) -> Iterator[Client]:
    with Client(processes) as client:
        yield client


def wait_until(condition: Callable[[], object], timeout: float = 30.0) -> None:
    """Poll until the condition holds; a test that waits in vain fails here."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "condition did not come true"
        time.sleep(0.01)
