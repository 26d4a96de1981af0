"""Answers that get better while more results come."""

from __future__ import annotations

import asyncio
import gc

import numpy as np
import pytest
from distributed import Client, Event

import dask_bacc
from tests.shared import (
    BLOCKS,
    X,
    assert_nothing_is_left,
    fails,
    own_block,
    relative_error,
    wide,
    wide_but_held,
)


def test_partials_get_better_and_end_with_the_answer(client, gate):
    truth = np.concatenate([wide(block) for block in BLOCKS])
    coded = dask_bacc.encode(X, k=8, n=16)
    run = coded.map(wide_but_held, gate, {0, 3, 5}, rtol=0)
    partials = run.partials()
    seen = []
    for partial in partials:
        seen.append(partial)
        assert partial.error == pytest.approx(np.sqrt(np.mean(np.square(partial.block_error))))
        if partial.returned == 13:
            assert 0 < relative_error(partial.answer, truth) < 3 * partial.error
            Event(gate, client=client).set()
    counts = [partial.returned for partial in seen]
    assert counts == sorted(counts)
    assert seen[-1].error == 0
    np.testing.assert_array_equal(seen[-1].answer, run.result())
    np.testing.assert_array_equal(run.result(), truth)
    assert list(run.partials())[-1].error == 0


def test_what_comes_after_the_answer_refines_it(client, gate):
    truth = np.concatenate([wide(block) for block in BLOCKS])
    coded = dask_bacc.encode(X, k=8, n=12)
    run = coded.map(wide_but_held, gate, {1, 4}, rtol=np.inf, cancel="keep")
    first = run.result()
    at_first = run.report
    assert {1, 4} <= set(at_first.missing)
    Event(gate, client=client).set()
    partials = list(run.partials())
    assert partials[-1].error == 0
    np.testing.assert_array_equal(partials[-1].answer, truth)
    assert run.report.missing == ()
    assert run.report.error == at_first.error
    np.testing.assert_array_equal(run.result(), first)
    assert_nothing_is_left(client)


def test_what_comes_after_the_answer_and_does_not_fit_is_left_out(client, gate):
    def odd(block, gate):
        result = wide_but_held(block, gate, {1, 4})
        return result[:, :1] if own_block(block) == 4 else result

    truth = np.concatenate([wide(block) for block in BLOCKS])
    run = dask_bacc.encode(X, k=8, n=12).map(odd, gate, rtol=np.inf, cancel="keep")
    run.result()
    Event(gate, client=client).set()
    last = list(run.partials())[-1]
    assert list(run.report.erred) == [4]
    assert last.error > 0
    assert relative_error(last.answer, truth) < 3 * last.error
    assert_nothing_is_left(client)


def test_dropping_a_run_that_is_being_refined_ends_it(client, gate):
    coded = dask_bacc.encode(X, k=8, n=12)
    coded.map(wide_but_held, gate, {1, 4}, rtol=np.inf, cancel="keep").result()
    Event(gate, client=client).set()
    gc.collect()
    assert_nothing_is_left(client)


def test_iterating_over_partials_keeps_the_run_alive(client):
    partials = dask_bacc.encode(X, k=8, n=12).map(np.tanh, rtol=0).partials()
    gc.collect()
    np.testing.assert_array_equal(list(partials)[-1].answer, np.tanh(X))


def test_partials_raise_what_the_run_raises(client):
    run = dask_bacc.encode(X, k=8, n=10).map(fails, range(8))
    with pytest.raises(dask_bacc.DecodeError, match="ZeroDivisionError"):
        list(run.partials())


def test_partials_with_an_asynchronous_client(processes):
    async def last_of():
        async with Client(processes.scheduler_address, asynchronous=True) as client:
            run = dask_bacc.encode(X, k=8, n=12).map(wide, client=client)
            with pytest.raises(TypeError, match="use `async for`"):
                list(run.partials())
            return [partial async for partial in run.partials()][-1]

    assert asyncio.run(last_of()).answer.shape == (8, 400)
