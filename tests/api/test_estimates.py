"""How large a run says that its error is, and what comes of it."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
from distributed import Event

import dask_bacc
from tests.shared import (
    BLOCKS,
    X,
    fails,
    own_block,
    relative_error,
    wait_until,
    wide,
    wide_but_held,
)


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
    with pytest.warns(RuntimeWarning, match=r"above rtol=0.001: its estimated relative error is"):
        answer = run.result()
    truth = np.tanh(array @ weights)
    error = relative_error(answer, truth)
    assert run.report.error > 0.1
    assert error < 3 * run.report.error
    assert run.report.stopped == "all chunks ended"


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


def fails_or_zero(block, blocks):
    return 0 * fails(block, blocks)


def test_estimates_from_zeros_are_said_to_be_such(client):
    """Nobody has computed the block that is lost."""
    run = dask_bacc.encode(X, k=8, n=12).map(fails_or_zero, {5})
    with pytest.warns(RuntimeWarning, match="all results are zero, which says nothing"):
        np.testing.assert_array_equal(run.result(timeout=60), np.zeros_like(X))
    assert run.report.error == 1
