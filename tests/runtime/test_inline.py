"""What chunks send with their messages."""

from __future__ import annotations

import asyncio

import numpy as np

from dask_bacc.policy.timing import Timing
from dask_bacc.results.result import flat_result
from dask_bacc.runtime.inline import InlineResults
from dask_bacc.worker.brought import ChunkResult
from dask_bacc.worker.messages import Message


def test_what_comes_with_a_message_and_cannot_be_read_is_fetched():
    async def of(chunk):
        inline = InlineResults(Timing())
        inline.take(Message("run", chunk, "done", b"no pickle"))
        return await inline.of((chunk, 0), failed=False)

    assert asyncio.run(of(3)) is None


def test_what_an_earlier_attempt_said_of_its_end_is_not_of_the_next():
    async def of(chunk):
        inline = InlineResults(Timing(fetch_after=30.0))
        for state in ("running", "done", "running"):
            inline.take(Message("run", chunk, state))
        result = flat_result(np.ones(2))
        brought = ChunkResult(result.spec(), None, result).packed()
        said = Message("run", chunk, "done", brought)
        asyncio.get_running_loop().call_later(0.05, inline.take, said)
        return await inline.of((chunk, 0), failed=False)

    np.testing.assert_array_equal(asyncio.run(of(3)).result.leaves[0], np.ones((1, 2)))
