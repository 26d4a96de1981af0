from __future__ import annotations

from collections.abc import Iterator

import pytest
from distributed import Client

from tests.conftest import local_cluster


@pytest.fixture
def local() -> Iterator[Client]:
    """Four worker threads in this process."""
    with (
        local_cluster(1, threads=4, processes=False) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client
