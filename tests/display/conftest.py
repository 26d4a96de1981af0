from __future__ import annotations

from collections.abc import Iterator

import pytest
from distributed import Client, LocalCluster


@pytest.fixture
def local() -> Iterator[Client]:
    """Four worker threads in this process."""
    with (
        LocalCluster(
            processes=False,
            n_workers=1,
            threads_per_worker=4,
            dashboard_address="127.0.0.1:0",
            scheduler_kwargs={"dashboard": False},
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client
