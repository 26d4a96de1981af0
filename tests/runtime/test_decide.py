"""What comes while an estimate is made."""

from __future__ import annotations

import math
import threading

import numpy as np
import pytest
from distributed import Event

import dask_bacc
from dask_bacc.runtime import decide
from dask_bacc.runtime.decide import Decider
from dask_bacc.runtime.fetch import Fetcher
from dask_bacc.runtime.store import Store
from tests.shared import X, held, own_block


def behind(block, closed):
    """The square; blocks that have a gate wait there."""
    if (which := own_block(block)) in closed:
        Event(closed[which]).wait()
    return block**2


def test_a_block_that_comes_while_it_is_estimated_is_taken(client, gate, monkeypatch):
    """An answer that is exact and there is better than one that is good enough."""
    came, put, accurate = threading.Event(), Fetcher._put, Decider._accurate

    def noted(fetcher, outcome, key):
        put(fetcher, outcome, key)
        if outcome.index[0] == 5:
            came.set()

    def at_leisure(*args):
        Event(gate, client=client).set()
        assert came.wait(30)
        return accurate(*args)

    monkeypatch.setattr(Fetcher, "_put", noted)
    monkeypatch.setattr(Decider, "_accurate", at_leisure)
    run = dask_bacc.encode(X, k=8, n=16).map(held, gate, {5}, enough=15)
    np.testing.assert_array_equal(run.result(timeout=60), X**2)
    assert run.report.stopped == "every block returned"


@pytest.mark.parametrize(("share", "estimated"), [(0.0, {4, 5}), (math.inf, {4})])
def test_a_sum_that_is_good_enough_does_not_wait_for_a_second_search(
    client, gate, other_gate, monkeypatch, share, estimated
):
    """Unless that takes next to none of the run's time."""
    came, add, accurate = threading.Event(), Store.add, Decider._accurate

    def noted(store, chunk, brought):
        add(store, chunk, brought)
        if chunk == 5:
            came.set()

    def at_leisure(*args):
        found = accurate(*args)
        Event(other_gate, client=client).set()
        assert came.wait(30)
        return found

    monkeypatch.setattr(Store, "add", noted)
    monkeypatch.setattr(Decider, "_accurate", at_leisure)
    monkeypatch.setattr(decide, "SHARE", share)
    coded = dask_bacc.encode(X, k=8, n=12)
    run = coded.map(behind, {4: gate, 5: other_gate}, combine="sum", rtol=0.5, enough=10)
    answer, truth = run.result(timeout=60), (X**2).reshape(8, -1, *X.shape[1:]).sum(axis=0)
    assert 5 in run.report.returned
    assert run.report.approximate.keys() == estimated
    unit = np.sqrt(np.mean(answer**2))
    assert np.sqrt(np.mean((answer - truth) ** 2)) <= 3 * run.report.error * unit + 1e-9
