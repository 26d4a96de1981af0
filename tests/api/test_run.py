"""Runs from `map` to their answers, one and many."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
from distributed import Event

import dask_bacc
from tests.shared import (
    X,
    assert_nothing_is_left,
    chunk_here,
    held,
    own_block,
    relative_error,
    wait_until,
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


def test_large_arrays_of_numpy_are_persisted_without_a_warning(client):
    coded = dask_bacc.encode(np.ones((8, 250_000)), n=9, k=8)
    assert coded.nbytes > 16e6
    assert coded.persist().map(np.mean, combine="stack", client=client).result().shape == (8,)


def test_persisted_chunks_serve_many_runs(client):
    coded = dask_bacc.encode(da.from_array(X, chunks=(3, 2)), n=12).persist()
    for power in (1, 2, 3):
        np.testing.assert_allclose(coded.map(np.power, power, enough=12).result(), X**power)
    del coded
    assert_nothing_is_left(client)


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


def test_many_runs_leave_nothing(client):
    """Sixty runs with leftovers, no key and no future left."""
    coded = dask_bacc.encode(X, k=8, n=12)
    cancelled = 0
    for _ in range(60):
        run = coded.map(np.tanh, enough=4, decoder="spline")
        run.result()
        cancelled += len(run.report.cancelled)
    assert cancelled > 60
    del run
    assert_nothing_is_left(client)


def test_two_runs_at_once(client):
    coded = dask_bacc.encode(da.from_array(X, chunks=(3, 2)), n=12)
    runs = [coded.map(np.power, power, enough=12) for power in range(6)]
    for power, run in enumerate(runs):
        np.testing.assert_allclose(run.result(), X**power)
