"""Workers that are kept off."""

from __future__ import annotations

import numpy as np
import pytest
from distributed import Event, futures_of

import dask_bacc
from dask_bacc.runtime.monitors import monitor_of
from tests.shared import relative_error, wait_until


@pytest.mark.usefixtures("results_stay")
def test_workers_that_are_stuck_decode_nothing(client, gate):
    """To the scheduler they look idle, and it would have them steal."""
    many = np.arange(48.0)

    def long(block, gate):
        if block[0] in (2, 5):
            Event(gate).wait()
        return np.tanh(block / 50) + np.zeros(400_000)

    run = dask_bacc.encode(many, n=60, k=48).map(long, gate, rtol=np.inf)
    wait_until(lambda: run.status == "finished")
    # Others may have been about to return when they were cancelled.
    wait_until(lambda: {chunk for _, chunk, _ in monitor_of(client).still_running()} <= {2, 5})
    lazy = run.to_dask_array(timeout=60)
    wait_until(lambda: all(future.status == "finished" for future in futures_of(lazy)))
    stuck = set(monitor_of(client).still_running().values())
    assert stuck
    assert not stuck.intersection(*client.who_has(lazy).values())

    # From then on it may be anywhere.
    def kept(dask_scheduler):
        return [key for key, ts in dask_scheduler.tasks.items() if ts.worker_restrictions]

    wait_until(lambda: not client.run_on_scheduler(kept))
    Event(gate, client=client).set()
    truth = np.tanh(many / 50)
    assert relative_error(lazy[::400_000].compute(), truth) < 3 * run.report.error
