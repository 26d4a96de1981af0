"""What comes while an estimate is made."""

from __future__ import annotations

import threading

import numpy as np
from distributed import Event

import dask_bacc
from dask_bacc.runtime.decide import Decider
from dask_bacc.runtime.fetch import Fetcher
from tests.shared import X, held


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
