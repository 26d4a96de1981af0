"""What a chunk brings back."""

from __future__ import annotations

import pytest

import dask_bacc
from tests.shared import X, large, wait_until


@pytest.mark.usefixtures("results_stay")
def test_workers_know_the_size_of_results(client):
    run = dask_bacc.encode(X, k=8, n=8, code="uncoded").map(large)
    wait_until(lambda: run.status == "finished")
    held = sum(client.run(lambda dask_worker: dask_worker.state.nbytes).values())
    # Sketches come on top.
    assert large(X).nbytes <= held < 1.5 * large(X).nbytes
    run.result()
