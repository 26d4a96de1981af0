from __future__ import annotations

import asyncio
import gc
import threading
import uuid
from collections import namedtuple
from concurrent.futures import CancelledError

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from distributed import Client, Event

import dask_bacc
from dask_bacc import coding
from dask_bacc.engine.scheduler import topic_of
from dask_bacc.runtime.decide import Decider
from dask_bacc.runtime.fetch import Fetcher
from tests.shared import (
    BLOCKS,
    X,
    assert_nothing_is_left,
    chunk_here,
    fails,
    held,
    own_block,
    relative_error,
    tasks_of_runs,
    wait_until,
    wide,
    wide_but_held,
)


@pytest.mark.parametrize("make", [np.asarray, lambda x: da.from_array(x, chunks=(3, 1))])
@pytest.mark.parametrize("code", ["systematic", "local", "convex", "repetition", "lagrange"])
def test_with_nothing_wrong_the_answer_is_that_of_map_blocks(client, make, code):
    function = np.tanh if code != "lagrange" else np.negative
    run = dask_bacc.encode(make(X), k=8, n=12, code=code).map(function, enough=12)
    expected = da.from_array(X, chunks=(3, 2)).map_blocks(function).compute()
    np.testing.assert_allclose(run.result(), expected, atol=1e-10)
    assert run.status == "finished"
    assert run.report.stopped is not None


def test_a_held_chunk_is_not_waited_for(client, gate, other_gate):
    def work(block):
        return held(block, gate, {5}) if own_block(block) != 6 else held(block, other_gate, {6})

    run = dask_bacc.encode(X, k=8, n=16).map(work, enough=15, decoder="berrut")
    wait_until(lambda: run.report.chunks[5].state == "running")
    Event(other_gate, client=client).set()
    answer = run.result(timeout=60)
    truth = X**2
    kept = np.delete(np.arange(24), range(15, 18))
    report = run.report
    own = [i for i in report.returned if i < 8]
    for block in own:
        rows = slice(3 * block, 3 * block + 3)
        np.testing.assert_array_equal(answer[rows], truth[rows])
    error = relative_error(answer[15:18], truth[15:18])
    assert 0 < error < 0.1
    assert 5 in report.missing
    assert report.chunks[5].state == "cancelled"
    assert report.still_running.get(5) in client.scheduler_info()["workers"]
    assert report.error is None
    assert np.isfinite(answer[kept]).all()
    assert_nothing_is_left(client)


def test_a_block_that_comes_while_it_is_estimated_is_taken(client, gate, monkeypatch):
    """An answer that is exact and there is better than one that is good enough."""
    came, put, accurate = threading.Event(), Fetcher._put, Decider._accurate

    def noted(fetcher, outcome, key):
        put(fetcher, outcome, key)
        if outcome.index == 5:
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


@pytest.mark.parametrize("make", [np.asarray, lambda x: da.from_array(x, chunks=(20, 10))])
def test_kriging_says_how_large_the_error_is(client, make):
    """Many outputs, two blocks lost: the relative error of the answer against the truth."""
    rng = np.random.default_rng(0)
    blocks = rng.normal(size=(8, 20, 10))
    array, weights = blocks.reshape(160, 10), rng.normal(size=(10, 30)) / 3

    def network(block):
        if any(np.array_equal(block, lost) for lost in blocks[[2, 5]]):
            raise OSError
        return np.tanh(block @ weights)

    run = dask_bacc.encode(make(array), k=8, n=12).map(network, rtol=np.inf, enough=10)
    answer = run.result(timeout=60)
    truth = np.tanh(array @ weights)
    error = relative_error(answer, truth)
    report = run.report
    assert 0.5 < report.error / error < 2
    assert [i for i, e in enumerate(report.block_error) if e > 0] == [2, 5]
    assert "estimated relative error" in str(report)


def test_rtol_waits_until_the_estimate_is_small_enough(client, gate):
    """Rough data: eight results are enough in number, and not good enough until all are in."""
    rng = np.random.default_rng(1)
    array, weights = rng.normal(size=(160, 10)), rng.normal(size=(10, 30)) / 3
    first = array[:20]

    def network(block, gate):
        if np.array_equal(block, first):
            Event(gate).wait()
        return np.tanh(block @ weights)

    run = dask_bacc.encode(array, k=8, n=12).map(network, gate, rtol=1e-6)
    wait_until(lambda: len(run.report.returned) >= 9)
    assert run.status == "pending"
    Event(gate, client=client).set()
    np.testing.assert_array_equal(run.result(), np.tanh(array @ weights))
    assert run.report.error == 0


def test_an_estimate_above_rtol_is_said(client):
    rng = np.random.default_rng(2)
    array, weights = rng.normal(size=(160, 10)), rng.normal(size=(10, 30))
    first = array[:20]

    def network(block):
        if np.array_equal(block, first):
            raise OSError
        return np.tanh(block @ weights)

    run = dask_bacc.encode(array, k=8, n=9).map(network)
    with pytest.warns(RuntimeWarning, match=r"above rtol=0.1: its estimated relative error is"):
        answer = run.result()
    truth = np.tanh(array @ weights)
    error = relative_error(answer, truth)
    assert run.report.error > 0.1
    assert error < 3 * run.report.error
    assert run.report.stopped == "all chunks ended"


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


def corrupts(block, chunk, gate, other_gate):
    """Wide results, but one chunk's, which are unrelated numbers of the same size."""
    if np.array_equal(block, chunk):
        return np.random.default_rng(1).choice([-0.7, 0.7], size=(1, 400))
    return wide_but_held(block, *((other_gate, {0}) if own_block(block) == 0 else (gate, {5})))


@pytest.mark.parametrize("suspects", ["keep", "replace"])
@pytest.mark.parametrize("bad", [2, 13])
def test_a_corrupted_result_is_reported_and_replaced_only_on_request(
    client, gate, other_gate, bad, suspects
):
    coded = dask_bacc.encode(X, k=8, n=16)
    chunk = coded.compute()[bad]
    run = coded.map(corrupts, chunk, gate, other_gate, enough=14, suspects=suspects, rtol=2)
    # Enough others might do without it.
    wait_until(lambda: bad in run.report.returned)
    Event(other_gate, client=client).set()
    with pytest.warns(RuntimeWarning, match=rf"results of chunks {bad} look corrupted"):
        answer = run.result(timeout=60)
    assert run.report.suspects == (bad,)
    assert f"corrupted, it seems: {bad}" in str(run.report)
    truth = np.concatenate([wide(block) for block in BLOCKS])
    assert 0 < relative_error(answer, truth) < 3 * run.report.error
    if bad < 8:
        own = corrupts(BLOCKS[bad], chunk, gate, other_gate)
        kept = np.array_equal(answer[bad * len(own) : (bad + 1) * len(own)], own)
        assert kept == (suspects == "keep")


def test_the_report_names_the_covariance_and_the_time_it_took(client, gate):
    run = dask_bacc.encode(X, k=8, n=12).map(wide_but_held, gate, {1}, rtol=np.inf, enough=11)
    run.result()
    assert run.report.kernel
    assert 0 < run.report.solving < run.report.seconds
    assert run.report.noise == 0
    assert run.report.suspects == ()


def test_a_function_may_change_its_block(client):
    """Neither parity made of the block, nor its other copies, nor later runs may see it."""

    def shift(block):
        if own_block(block) == 0:
            raise OSError
        block -= 1
        return block

    for make in (np.asarray, lambda x: da.from_array(x, chunks=(3, 2))):
        coded = dask_bacc.encode(make(X), k=8, n=12).persist()
        run = coded.map(shift, decoder="least-squares", enough=11)
        np.testing.assert_allclose(run.result(), X - 1, atol=1e-9)
        np.testing.assert_array_equal(coded.map(np.copy, enough=12).result(), X)


def test_the_same_array_twice_and_itself_as_an_argument(client):
    twice = dask_bacc.encode(X, X, k=8, n=12)
    np.testing.assert_array_equal(twice.map(np.add, enough=12).result(), 2 * X)
    coded = dask_bacc.encode(X, k=8, n=12)
    answer = coded.map(lambda block, chunks: block + chunks.shape[0], coded, enough=12).result()
    np.testing.assert_array_equal(answer, X + 12)


def test_numpy_integers_as_options(client):
    coded = dask_bacc.encode(X, k=np.int64(8), n=np.int64(12), axis=np.int8(0))
    run = coded.map(np.negative, enough=np.int64(12), retries=np.int64(1))
    np.testing.assert_array_equal(run.result(), -X)


@pytest.mark.parametrize("unit", [1e-200, 1e160, 1e305])
def test_units_do_not_matter(client, gate, unit):
    """Squares of such numbers vanish or overflow."""

    def squared(block, gate):
        if block[0] == unit * X[3, 0]:
            Event(gate).wait()
        return (block / unit) ** 2 * unit

    run = dask_bacc.encode(unit * X[:, 0], k=8, n=12).map(squared, gate, rtol=np.inf)
    answer = run.result() / unit
    assert 0 < run.report.error < 0.1
    assert relative_error(answer, X[:, 0] ** 2) < 3 * run.report.error


def test_results_too_large_to_sum_are_refused(client):
    with pytest.raises(OverflowError, match="scale them down"):
        dask_bacc.encode(np.full(400_000, 1e308), k=4, n=6, code="berrut").map(np.copy).result()


def test_an_answer_that_overflows_is_refused(client):
    coded = dask_bacc.encode(X, k=8, n=8, code="uncoded")
    run = coded.map(lambda block: np.full(3, 30000, "f2"), combine="sum")
    with pytest.raises(OverflowError, match="overflows float16"):
        run.result()
    assert run.status == "error"


def test_the_users_priority_is_kept(client, gate):
    with dask.annotate(priority=7):
        run = dask_bacc.encode(X, k=8, n=12).map(held, gate, range(8), enough=12)
    wait_until(lambda: tasks_of_runs(client))
    priorities = client.run_on_scheduler(
        lambda dask_scheduler: {
            ts.priority[0] for key, ts in dask_scheduler.tasks.items() if "bacc-held" in key[0]
        }
    )
    assert priorities == {-7, -6}
    run.cancel()


def test_a_cancelled_runs_report_stands_still(client, gate):
    run = dask_bacc.encode(X, k=8, n=12).map(held, gate, range(8), enough=12)
    wait_until(lambda: any(chunk.state == "running" for chunk in run.report.chunks))
    run.cancel()
    wait_until(lambda: "given up" in str(run.report))
    # Two readings in a row are equal only once the clock has stopped.
    wait_until(lambda: run.report.seconds == run.report.seconds)


def test_a_decode_error_survives_pickling(client):
    import pickle

    run = dask_bacc.encode(X, k=8, n=8, code="uncoded").map(fails, range(8))
    with pytest.raises(dask_bacc.DecodeError) as info:
        run.result()
    copy = pickle.loads(pickle.dumps(info.value))
    assert str(copy) == str(info.value)
    assert set(copy.report.erred) == set(range(8))


def test_what_slow_chunks_have_is_known_before_they_return(client, gate):
    """From fewer results than blocks nothing else tells where the lost ones lie."""
    line = np.arange(8.0)

    def curved(block, gate):
        if block[0] in (2, 5):
            Event(gate).wait()
        return np.tanh(block / 8) * np.ones(50)

    # The estimate is too large until it is known that all blocks lie on one line.
    run = dask_bacc.encode(line, k=8, n=9).map(curved, gate, enough=7, rtol=1e-2)
    answer = run.result(timeout=60)
    assert len(run.report.returned) == 7
    truth = np.repeat(np.tanh(line / 8), 50)
    assert relative_error(answer, truth) < 3 * run.report.error < 3e-2


def test_chunks_are_sketched_once_for_many_runs(client):
    """A second run must know the blocks' distances without asking for them again."""
    coded = dask_bacc.encode(da.from_array(X, chunks=(3, 2)), n=12).persist()
    coded.map(np.square, decoder="kriging", enough=12).result()
    known = dict(coded._known_sketches)
    assert len(known) >= 8
    run = coded.persist().map(np.square, decoder="kriging", enough=12)
    run.result()
    assert all(coded._known_sketches[i] is sketches for i, sketches in known.items())


def test_map_returns_at_once_and_reports_meanwhile(client, gate):
    run = dask_bacc.encode(X, k=8, n=8, code="uncoded").map(held, gate, {0})
    wait_until(lambda: len(run.report.returned) == 7)
    wait_until(lambda: run.report.chunks[0].state == "running")
    assert run.status == "pending"
    assert run.report.missing == (0,)
    with pytest.raises(TimeoutError):
        run.result(timeout=0.01)
    Event(gate, client=client).set()
    np.testing.assert_array_equal(run.result(), X**2)
    assert run.report.error == 0
    assert run.report.missing == ()


def test_enough_waits_for_more(client):
    run = dask_bacc.encode(X, k=8, n=12, code="berrut").map(np.negative, enough=12)
    run.result()
    assert len(run.report.returned) == 12


def test_persisted_chunks_serve_many_runs(client):
    coded = dask_bacc.encode(da.from_array(X, chunks=(3, 2)), n=12).persist()
    for power in (1, 2, 3):
        np.testing.assert_allclose(coded.map(np.power, power, enough=12).result(), X**power)
    del coded
    assert_nothing_is_left(client)


def test_several_arrays_come_as_a_block_each(client):
    labels = np.arange(8) % 3
    coded = dask_bacc.encode(da.from_array(X, chunks=(3, 2)), labels, n=12)
    run = coded.map(lambda x, y: x * y.sum(), combine="stack", enough=12)
    expected = np.split(X, 8) * labels.reshape(8, 1, 1)
    np.testing.assert_allclose(run.result(), expected)


@pytest.mark.parametrize("axis", [0, 1])
def test_axis(client, axis):
    coded = dask_bacc.encode(X, k=2, n=3, axis=axis)
    np.testing.assert_allclose(coded.map(np.sqrt, enough=3).result(), np.sqrt(X))


def test_structures_and_combine(client):
    def moments(block):
        return {"sum": block.sum(axis=0), "gram": (block.T @ block, [block.size])}

    answer = dask_bacc.encode(X, k=8, n=12).map(moments, combine="sum", enough=12).result()
    np.testing.assert_allclose(answer["sum"], X.sum(axis=0))
    np.testing.assert_allclose(answer["gram"][0], X.T @ X)
    assert answer["gram"][1][0] == X.size


def test_arguments_may_be_futures_and_collections(client):
    weights = client.submit(np.ones, (2, 3))
    shift = da.ones(3, chunks=1)
    offset = dask.delayed(np.float64)(4.0)
    run = dask_bacc.encode(X, k=8, n=12).map(
        lambda x, w, options: x @ w["w"] + options[0] + options[1],
        {"w": weights},
        options=[shift, offset],
        enough=12,
    )
    np.testing.assert_allclose(run.result(), X @ np.ones((2, 3)) + 5)


def test_a_function_that_raises_on_some_chunks(client, gate):
    """Local parity of a linear function gives back exactly what two errors took."""

    def fails_or_waits(block, gate):
        if own_block(block) is None:
            Event(gate).wait()
        return fails(block, {1, 4})

    run = dask_bacc.encode(X, k=8, n=10, code="local").map(fails_or_waits, gate)
    wait_until(lambda: len(run.report.erred) == 2)
    Event(gate, client=client).set()
    np.testing.assert_allclose(run.result(), 2 * X)
    report = run.report
    assert {i: str(error) for i, error in report.erred.items()} == {1: "block 1", 4: "block 4"}
    assert report.missing == (1, 4)


def test_a_function_that_raises_on_too_many(client):
    run = dask_bacc.encode(X, k=8, n=10).map(fails, {1, 4, 6})
    with pytest.raises(
        dask_bacc.DecodeError, match="7 of 10 chunks returned, and 8 were needed"
    ) as info:
        run.result()
    assert isinstance(info.value.__cause__, ZeroDivisionError)
    assert any("fails" in str(entry) for entry in _frames(info.value.__cause__))
    assert set(info.value.report.erred) == {1, 4, 6}
    assert run.status == "error"
    assert_nothing_is_left(client)


def _frames(error):
    traceback = error.__traceback__
    while traceback:
        yield traceback.tb_frame.f_code.co_name
        traceback = traceback.tb_next


def test_retries_try_again(client):
    attempts = f"attempts-{uuid.uuid4()}"

    def flaky(block):
        event = Event(attempts)
        if own_block(block) == 3 and not event.is_set():
            event.set()
            raise OSError("first time")
        return block

    run = dask_bacc.encode(X, k=8, n=8, code="uncoded").map(flaky, retries=1)
    np.testing.assert_array_equal(run.result(), X)
    assert not run.report.erred


@pytest.mark.parametrize("poison", [np.nan, np.inf])
def test_results_that_are_not_finite_are_set_aside(client, gate, poison):
    def poisoned(block, gate):
        if own_block(block) is None:
            Event(gate).wait()
        return block * poison if own_block(block) == 2 else block

    run = dask_bacc.encode(X, k=8, n=14).map(poisoned, gate)
    wait_until(lambda: run.report.erred)
    Event(gate, client=client).set()
    assert np.isfinite(run.result()).all()
    assert isinstance(run.report.erred[2], dask_bacc.ResultError)
    assert "NaN or infinity" in str(run.report.erred[2])


@pytest.mark.parametrize(
    ("odd", "message"),
    [
        (lambda block: block[:2], r"array\(3, 2\).*array\(2, 2\)|array\(2, 2\).*array\(3, 2\)"),
        (lambda block: (block, block), r"\(array\(3, 2\), array\(3, 2\)\)"),
    ],
)
def test_results_of_different_structure_name_their_chunks(client, odd, message):
    run = dask_bacc.encode(X, k=8, n=12).map(
        lambda b: odd(b) if own_block(b) == 6 else b, enough=12
    )
    with pytest.raises(dask_bacc.DecodeError, match=message) as info:
        run.result()
    assert "chunk 6 " in str(info.value)
    assert_nothing_is_left(client)


def test_named_tuples_of_a_notebook(client):
    """Workers know such a class from the function alone."""
    stats = namedtuple("stats", "total rows")
    stats.__module__ = "__main__"
    run = dask_bacc.encode(X, k=8, n=12).map(lambda b: stats(b.sum(0), b), enough=12)
    answer = run.result(timeout=60)
    assert type(answer) is stats
    np.testing.assert_allclose(answer.rows, X)


def test_datasets_are_refused(client):
    """Its variable of that name would be taken for all of it."""
    run = dask_bacc.encode(X, k=8, n=12).map(
        lambda b: xr.Dataset({"data": ("x", b[0]), "quality": ("x", b[1])})
    )
    with pytest.raises(dask_bacc.DecodeError, match="not Dataset"):
        run.result(timeout=60)


def test_rtol_may_come_as_text(client):
    with dask.config.set({"bacc.rtol": "inf"}):
        assert dask_bacc.encode(X, k=8, n=12).map(np.tanh).result(timeout=60).shape == X.shape
        with pytest.raises(TypeError, match="rtol must be a number, got 'much'"):
            dask_bacc.encode(X, k=8, n=12).map(np.tanh, rtol="much")


def test_a_scheduler_that_was_started_anew_is_asked_for_messages_again(client, patient):
    dask_bacc.encode(X, k=8, n=12).map(np.tanh).result(timeout=60)
    client.unsubscribe_topic(topic_of(client))
    run = dask_bacc.encode(X, k=8, n=12).map(np.tanh, enough=12)
    run.result(timeout=60)
    assert all(run.report.chunks[chunk].worker for chunk in run.report.returned)


def test_results_in_single_precision_are_waited_for_until_they_determine_the_answer(client, gate):
    """Eight of neighbouring nodes would do in double precision."""

    def work(block):
        chunk = chunk_here()
        if chunk in (12, 15):
            Event(gate).wait()
        elif chunk >= 8:
            raise OSError
        return block.astype("float32")

    run = dask_bacc.encode(X, k=8, n=16, code="lagrange").map(work)
    wait_until(lambda: len(run.report.returned) == 8)
    Event(gate, client=client).set()
    np.testing.assert_allclose(run.result(timeout=60), X, rtol=1e-3)


def test_results_that_are_no_arrays(client):
    run = dask_bacc.encode(X, k=8, n=12).map(lambda block: None)
    with pytest.raises(
        dask_bacc.DecodeError, match=r"refused: .* an array of numbers.*not NoneType"
    ):
        run.result()


def test_deadline_takes_what_has_come_and_says_so(client, gate):
    run = dask_bacc.encode(X, k=8, n=10).map(held, gate, {1, 3, 5}, enough=9, deadline=4)
    with pytest.warns(RuntimeWarning, match=r"decoded from \d results, fewer than enough=9"):
        answer = run.result()
    assert run.report.stopped == "deadline"
    assert np.isfinite(answer).all()
    np.testing.assert_array_equal(answer[:3], X[:3] ** 2)


def test_deadline_with_nothing_is_no_answer(client, gate):
    run = dask_bacc.encode(X, k=8, n=8, code="uncoded").map(held, gate, range(8), deadline=0.2)
    with pytest.raises(dask_bacc.DecodeError, match="0 of 8 chunks returned"):
        run.result()
    assert_nothing_is_left(client)


def test_deadline_with_a_lost_block_is_no_answer(client, gate):
    run = dask_bacc.encode(X, k=8, n=9, code="local").map(
        held, gate, {1, 3}, decoder="least-squares", deadline=4
    )
    with pytest.raises(
        dask_bacc.DecodeError, match=r"of 9 chunks returned, and blocks .*\b1, .*are lost"
    ):
        run.result()


def test_cancel(client, gate):
    run = dask_bacc.encode(X, k=8, n=12).map(held, gate, range(8), enough=12)
    wait_until(lambda: any(chunk.state == "running" for chunk in run.report.chunks))
    run.cancel()
    with pytest.raises(CancelledError):
        run.result(timeout=10)
    assert run.status == "cancelled"
    assert_nothing_is_left(client)


def test_dropping_a_run_cancels_it(client, gate):
    run = dask_bacc.encode(X, k=8, n=12).map(held, gate, range(8), enough=12)
    wait_until(lambda: tasks_of_runs(client))
    del run
    gc.collect()
    assert_nothing_is_left(client)


def test_many_runs_leave_nothing(client):
    """The first of the issue's promises: 200 runs with leftovers, no key and no future left."""
    coded = dask_bacc.encode(X, k=8, n=12)
    cancelled = 0
    for _ in range(200):
        run = coded.map(np.tanh, enough=4, decoder="spline")
        run.result()
        cancelled += len(run.report.cancelled)
    assert cancelled > 200
    del run
    assert_nothing_is_left(client)


def test_two_runs_at_once(client):
    coded = dask_bacc.encode(da.from_array(X, chunks=(3, 2)), n=12)
    runs = [coded.map(np.power, power, enough=12) for power in range(6)]
    for power, run in enumerate(runs):
        np.testing.assert_allclose(run.result(), X**power)


def test_an_asynchronous_client(processes):
    async def main():
        async with Client(processes.scheduler_address, asynchronous=True) as client:
            coded = dask_bacc.encode(X, k=8, n=12)
            run = coded.map(np.negative, enough=12)
            np.testing.assert_allclose(await run, -X, atol=1e-10)
            np.testing.assert_allclose(await run.result(), -X, atol=1e-10)
            failing = coded.map(fails, range(8))
            with pytest.raises(dask_bacc.DecodeError):
                await failing
            gate = Event(f"gate-{uuid.uuid4()}")
            waiting = coded.map(held, gate.name, range(8), enough=12)
            with pytest.raises(TimeoutError):
                await waiting.result(timeout=0.05)
            assert waiting.status == "pending"
            await gate.set()
            np.testing.assert_allclose(await waiting, X**2)
            for _ in range(1000):
                if not client.futures and not client.refcount:
                    break
                await asyncio.sleep(0.01)
            assert not client.futures
            assert not client.refcount

    asyncio.run(main())


def test_a_client_that_is_not_the_default(processes):
    with Client(processes, set_as_default=False) as other:
        run = dask_bacc.encode(X, k=8, n=12).map(np.negative, client=other, enough=12)
        np.testing.assert_allclose(run.result(), -X)


def test_a_client_that_closes_in_the_middle(processes, gate):
    with Client(processes, set_as_default=False) as other:
        run = dask_bacc.encode(X, k=8, n=12).map(held, gate, range(8), enough=12, client=other)
        wait_until(lambda: any(chunk.state == "running" for chunk in run.report.chunks))
    with pytest.raises(dask_bacc.DecodeError, match=r"gave up .* when the client closes"):
        run.result(timeout=30)


def test_a_run_inside_a_task(client):
    def outer():
        from distributed import worker_client

        with worker_client() as inner:
            return (
                dask_bacc.encode(X, k=8, n=12).map(np.negative, client=inner, enough=12).result()
            )

    np.testing.assert_allclose(client.submit(outer).result(), -X, atol=1e-10)


def test_the_decoder_is_configured(client):
    with dask.config.set({"bacc.decoder": "floater-hormann"}):
        run = dask_bacc.encode(X, k=8, n=12).map(np.negative)
    run.result()
    assert run.report.decoder == "floater-hormann"


def test_any_code_object_and_decoder_object(client):
    code = coding.Grouped(8, 12, size=4, code=coding.Local)
    coded = dask_bacc.encode(X, k=8, n=12, code=code)
    run = coded.map(np.negative, decoder=coding.LeastSquares())
    np.testing.assert_allclose(run.result(), -X, atol=1e-12)


def test_estimates_from_zeros_are_said_to_be_such(client):
    """Nobody has computed the block that is lost."""
    run = dask_bacc.encode(X, k=8, n=12).map(fails_or_zero, {5})
    with pytest.warns(RuntimeWarning, match="all results are zero, which says nothing"):
        np.testing.assert_array_equal(run.result(timeout=60), np.zeros_like(X))
    assert run.report.error == 1


def fails_or_zero(block, blocks):
    return 0 * fails(block, blocks)
