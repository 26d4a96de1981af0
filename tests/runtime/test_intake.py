"""Results that come with messages."""

from __future__ import annotations

import asyncio
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


@pytest.mark.parametrize("began", [True, False])
def test_a_result_of_a_worker_that_the_chunk_was_taken_from_is_left_to_its_future(began):
    """The worker that has it now would run on, and nobody would know."""
    result = flat_result(np.ones(3))
    done = Message("run", 0, "done", ChunkResult(result.spec(), None, result).packed())
    state, brought = RunState(2, 3, "kriging"), []
    run = SimpleNamespace(
        state=state,
        inline=InlineResults(Timing()),
        store=Store({}),
        situation=Situation(state),
        bring=lambda attempted, whole: brought.append(attempted) or True,
        wake=lambda: None,
    )
    take_message(run, Message("run", 0, "running"), "hung")
    state.launch([0])
    if began:
        take_message(run, Message("run", 0, "running"), "other")
    take_message(run, done, "hung")
    assert not brought
    take_message(run, Message("run", 0, "running"), "other")
    take_message(run, done, "other")
    assert brought == [(0, 0)]
    assert run.inline.whole((0, 0)) is None
