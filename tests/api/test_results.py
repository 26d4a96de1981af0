"""What functions may return, what is set aside and what is refused."""

from __future__ import annotations

from collections import namedtuple

import numpy as np
import pytest
import xarray as xr
from distributed import Event

import dask_bacc
from tests.shared import BLOCKS, X, assert_nothing_is_left, chunk_here, own_block, wait_until


def test_results_too_large_to_sum_are_refused(client):
    with pytest.raises(OverflowError, match="scale them down"):
        dask_bacc.encode(np.full(400_000, 1e308), k=4, n=6, code="berrut").map(np.copy).result()


def test_an_answer_that_overflows_is_refused(client):
    coded = dask_bacc.encode(X, k=8, n=8, code="uncoded")
    run = coded.map(lambda block: np.full(3, 30000, "f2"), combine="sum")
    with pytest.raises(OverflowError, match="overflows float16"):
        run.result()
    assert run.status == "error"


def signed_log(block):
    """NaN and infinity where blocks are not positive, as it is without a code."""
    with np.errstate(all="ignore"):
        return np.log(block)


@pytest.mark.parametrize("options", [{}, {"n": 12}, {"n": 12, "code": "repetition"}])
def test_what_a_function_returns_for_a_block_is_its_answer_nan_or_not(client, options):
    array = X.copy()
    array[[7, 8, 14]] = [-1, 2], [0, -3], [0, 0]
    coded = dask_bacc.encode(array, k=8, **options)
    expected = signed_log(array)
    run, own_blocks = coded.map(signed_log, rtol=0), coded.code.own_blocks
    np.testing.assert_array_equal(run.result(), expected)
    assert {own_blocks[chunk] for chunk in run.report.not_finite} == {2, 4}
    # Of two chunks with the same block, either may be the first.
    said = ", ".join(map(str, run.report.not_finite))
    assert f"NaN or infinity, as the function returned: {said}\n" in str(run.report)
    stacked = np.stack(np.split(expected, 8))
    for combine, truth in (("sum", stacked.sum(axis=0)), ("stack", stacked)):
        answer = coded.map(signed_log, rtol=0, combine=combine).result()
        np.testing.assert_allclose(answer, truth, rtol=1e-14)


@pytest.mark.usefixtures("results_stay")
@pytest.mark.parametrize("combine", ["concat", "sum"])
def test_nan_of_results_that_stay_on_their_workers_is_in_the_dask_array(client, combine):
    def wide(block):
        return np.repeat(signed_log(block), 1000, axis=1)

    array = X.copy()
    array[7] = -1
    run = dask_bacc.encode(array, k=8).map(wide, combine=combine)
    expected = wide(array)
    if combine == "sum":
        expected = np.stack(np.split(expected, 8)).sum(axis=0)
    np.testing.assert_allclose(run.to_dask_array().compute(), expected, rtol=1e-14)
    np.testing.assert_allclose(run.result(), expected, rtol=1e-14)


def test_blocks_are_estimated_beside_one_that_is_nan(client, gate):
    """NaN is where the function returned it, and nowhere else."""

    def held(block, gate):
        if own_block(block) == 5:
            Event(gate).wait()
        return block * np.nan if own_block(block) == 2 else block

    run = dask_bacc.encode(X, k=8, n=14).map(held, gate, rtol=0.1, enough=13)
    answer = run.result(timeout=60)
    expected = X.copy()
    expected[6:9] = np.nan
    np.testing.assert_allclose(answer, expected, atol=1e-6)
    assert list(run.report.approximate) == [5]
    assert run.report.not_finite == (2,)


@pytest.mark.parametrize("poison", [np.nan, np.inf])
def test_results_that_are_not_finite_are_replaced_if_that_is_asked_for(client, gate, poison):
    def poisoned(block, gate):
        if own_block(block) is None:
            Event(gate).wait()
        return block * poison if own_block(block) == 2 else block

    run = dask_bacc.encode(X, k=8, n=14).map(poisoned, gate, suspects="replace")
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


def test_results_that_are_no_arrays(client):
    run = dask_bacc.encode(X, k=8, n=12).map(lambda block: None)
    with pytest.raises(
        dask_bacc.DecodeError, match=r"refused: .* an array of numbers.*not NoneType"
    ):
        run.result()


def test_scalars_are_refused_with_the_first_result(client, gate):
    """Not when all are in: the others would wait for ever."""

    def work(block):
        if chunk_here() != 0:
            Event(gate).wait()
        return block.sum()

    run = dask_bacc.encode(np.arange(16.0), k=4, n=6).map(work, client=client)
    with pytest.raises(dask_bacc.CombineError, match="scalar results cannot be") as info:
        run.result(timeout=60)
    assert isinstance(info.value, ValueError)
    assert info.value.results == {0: 6.0}
    assert info.value.report.returned == ()
    assert run.status == "error"


def test_what_was_done_before_an_error_is_not_lost(client, gate):
    """Results that have come are on the error, whether one does not fit or too many failed."""

    def work(block, gate, fails):
        if own_block(block) in (6, 7):
            Event(gate).wait()
            if fails:
                raise OSError("no such file")
            return block[:2]
        return {"twice": (2 * block, block.sum())}

    for fails in (True, False):
        Event(gate, client=client).clear()
        run = dask_bacc.encode(X, k=8).map(work, gate, fails, combine="stack")
        wait_until(lambda run=run: len(run.report.returned) == 6)
        Event(gate, client=client).set()
        with pytest.raises(dask_bacc.DecodeError) as info:
            run.result(timeout=60)
        found = info.value.results
        assert set(found) >= set(range(6))
        for block in range(6):
            np.testing.assert_array_equal(found[block]["twice"][0], 2 * BLOCKS[block])
            assert found[block]["twice"][1] == pytest.approx(BLOCKS[block].sum())


def test_integers_that_would_be_rounded_end_the_run(client):
    ids = np.arange(2**60, 2**60 + 16)

    def work(block):
        first = chunk_here() == 2
        return ids[: len(block)] if first else np.ones(len(block), dtype="i8")

    run = dask_bacc.encode(np.arange(16.0), k=4, n=4, code="uncoded").map(work, client=client)
    with pytest.raises(
        dask_bacc.DecodeError, match=r"chunk 2 is refused: .*beyond 2\*\*53"
    ) as info:
        run.result(timeout=60)
    assert isinstance(info.value.__cause__, ValueError)


@pytest.mark.parametrize(
    "function", [np.bincount, lambda block: np.arange(99)[block], lambda block: block & 1]
)
def test_functions_of_integers_are_told_that_blocks_are_floats(client, function):
    counts = np.arange(16) % 3
    run = dask_bacc.encode(counts, k=4, n=6).map(function, combine="stack", client=client)
    with pytest.raises(dask_bacc.DecodeError, match=r"arrive as float64: .*block\.astype\(int\)"):
        run.result(timeout=60)
    run = dask_bacc.encode(counts / 1.0, k=4, n=6).map(function, combine="stack", client=client)
    with pytest.raises(dask_bacc.DecodeError, match=r"raised \w+Error: .*[^)]$"):
        run.result(timeout=60)
