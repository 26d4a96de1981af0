"""Results that come with messages."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import dask_bacc
from dask_bacc.policy.situation import Situation
from dask_bacc.policy.timing import Timing
from dask_bacc.records.state import RunState
from dask_bacc.results.result import flat_result
from dask_bacc.runtime.fetch import Fetcher
from dask_bacc.runtime.inline import InlineResults
from dask_bacc.runtime.intake import take_message
from dask_bacc.runtime.store import Store
from dask_bacc.worker.brought import ChunkResult
from dask_bacc.worker.messages import Message
from tests.shared import X, assert_nothing_is_left


def test_small_results_count_with_their_messages(client, monkeypatch):
    """Whatever their futures know."""

    async def never(fetcher, index):
        await asyncio.Event().wait()

    monkeypatch.setattr(Fetcher, "_watch", never)
    run = dask_bacc.encode(X, k=8, n=12).map(np.tanh, rtol=0)
    np.testing.assert_array_equal(run.result(timeout=60), np.tanh(X))
    assert_nothing_is_left(client)


@pytest.mark.parametrize("late", [True, False])
@pytest.mark.parametrize("began", [True, False])
def test_a_worker_that_has_the_chunk_now_is_known_to_run_on(began, late):
    """Whatever the one that it was taken from brings, and says of its start."""
    result = flat_result(np.ones(3))
    done = Message("run", 0, "done", ChunkResult(result.spec(), None, result).packed())
    times, brought = [0.0], []
    state = RunState(2, 3, "kriging", clock=lambda: times[0])
    run = SimpleNamespace(
        state=state,
        inline=InlineResults(Timing()),
        store=Store({}),
        situation=Situation(state),
        bring=lambda attempted, whole: brought.append(attempted) or True,
        wake=lambda: None,
    )
    running = Message("run", 0, "running")
    if not late:
        take_message(run, running, "hung")
    times[0] = 1.0
    state.launch([0])
    if began:
        take_message(run, running, "other")
    times[0] = 2.0
    if late:
        take_message(run, replace(running, ago=2.0), "hung")
    take_message(run, done, "hung")
    if brought:
        state.take_result(0)
    if not began:
        take_message(run, running, "other")
    assert state.records[0].worker == "other" or state.still_running == {(0, 0): "other"}
    if not brought:
        take_message(run, done, "other")
        assert brought == [(0, 0)]
    assert run.inline.whole((0, 0)) is None
