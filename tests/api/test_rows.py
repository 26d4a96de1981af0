"""Runs over functions that treat the rows of a block one by one."""

from __future__ import annotations

import dask
import numpy as np
import pytest
import xarray as xr

import dask_bacc
from dask_bacc import coding
from tests.shared import chunk_here, network, relative_error

LOST = (2, 5)


def unless_lost(block, width=30):
    if chunk_here() in LOST:
        raise RuntimeError("lost")
    return network(block, width)


def sample(rows=12, features=8, k=8):
    rng = np.random.default_rng(1)
    return rng.normal(size=(k, rows, features))


def by_blocks(blocks, function=network):
    """Error of kriging that knows nothing of rows."""
    code = coding.Berrut(8, 12, systematic=True)
    results = {i: function(c) for i, c in enumerate(code.encode(blocks)) if i not in LOST}
    flat = blocks.reshape(8, -1)
    decoded = coding.decode(code, results, "kriging", flat @ flat.T)
    truth = np.stack([function(block) for block in blocks])
    return relative_error(decoded.blocks, truth)


@pytest.mark.filterwarnings("ignore:the estimate is above rtol")
@pytest.mark.parametrize("combine", ["concat", "stack", "sum", "mean"])
def test_rows_are_told_where_blocks_tell_too_little(client, combine):
    blocks = sample()
    coded = dask_bacc.encode(blocks.reshape(-1, 8), k=8, n=12)
    run = coded.map(unless_lost, rtol=1e-9, combine=combine, client=client)
    answer = run.result(timeout=60)
    every = network(blocks)
    truth = {
        "concat": every.reshape(-1, 30),
        "stack": every,
        "sum": every.sum(axis=0),
        "mean": every.mean(axis=0),
    }[combine]
    error = relative_error(answer, truth)
    if combine in ("concat", "stack"):
        assert error < 0.6 * by_blocks(blocks)
    assert error < 2 * run.report.error
    assert "of rows" in run.report.kernel


@pytest.mark.filterwarnings("ignore:the estimate is above rtol")
def test_rows_that_are_long_are_sketched_and_large_results_fetched(client):
    """The sketches are too large to come with a message, the results to come unasked."""
    mixing = np.random.default_rng(2).normal(size=(4, 400)) / 2
    blocks = sample(rows=100, features=4) @ mixing
    coded = dask_bacc.encode(blocks.reshape(-1, 400), k=8, n=12)
    with dask.config.set({"bacc.gather-limit": 1000}):
        run = coded.map(unless_lost, rtol=1e-9, combine="stack", client=client)
        answer = run.result(timeout=60)
    assert "of rows" in run.report.kernel
    error = relative_error(answer, network(blocks))
    assert error < 0.6 * by_blocks(blocks)
    assert error < 2 * run.report.error


@pytest.mark.filterwarnings("ignore:the estimate is above rtol")
def test_several_arrays_with_rows_along_different_axes(client):
    blocks = sample(features=10)
    left = xr.DataArray(blocks[..., :6].reshape(-1, 6), dims=("sample", "feature"))
    right = xr.DataArray(blocks[..., 6:].reshape(-1, 4).T, dims=("other", "sample"))

    def function(one, other):
        return unless_lost(np.concatenate([one, other.T], axis=1))

    coded = dask_bacc.encode(left, right, k=8, n=12, dim="sample")
    run = coded.map(function, rtol=1e-9, combine="stack", client=client)
    answer = np.asarray(run.result(timeout=60))
    assert relative_error(answer, network(blocks)) < 0.6 * by_blocks(blocks)


@pytest.mark.filterwarnings("ignore:the estimate is above rtol")
def test_each_leaf_of_a_result_has_rows_of_its_own_or_none(client):
    blocks = sample()

    def function(block):
        outputs = unless_lost(block)
        return {"rows": outputs.T, "mean": outputs.mean(axis=0)}

    coded = dask_bacc.encode(blocks.reshape(-1, 8), k=8, n=12)
    run = coded.map(function, rtol=1e-9, combine="stack", client=client)
    answer = run.result(timeout=60)
    every = network(blocks)
    assert relative_error(answer["rows"].swapaxes(1, 2), every) < 0.6 * by_blocks(blocks)
    assert relative_error(answer["mean"], every.mean(axis=1)) < 2 * run.report.error
    assert "of rows" in run.report.kernel


@pytest.mark.filterwarnings("ignore:the estimate is above rtol")
def test_partials_end_with_the_answer_of_rows(client):
    blocks = sample()
    coded = dask_bacc.encode(blocks.reshape(-1, 8), k=8, n=12)
    run = coded.map(unless_lost, rtol=1e-9, combine="stack", client=client)
    *_, last = run.partials()
    assert relative_error(last.answer, network(blocks)) < 0.6 * by_blocks(blocks)
    assert last.error == run.report.error


def test_blocks_are_good_enough_where_the_estimate_is(client):
    """Looking at rows takes time that such a short run does not have."""
    blocks = sample()
    coded = dask_bacc.encode(blocks.reshape(-1, 8), k=8, n=12)
    run = coded.map(unless_lost, rtol=0.9, client=client)
    run.result(timeout=60)
    assert "of rows" not in run.report.kernel


@pytest.mark.filterwarnings("ignore:the estimate is above rtol")
def test_a_second_run_has_the_rows_of_the_first(client):
    blocks = sample()
    coded = dask_bacc.encode(blocks.reshape(-1, 8), k=8, n=12)
    for _ in range(2):
        run = coded.map(unless_lost, rtol=1e-9, combine="stack", client=client)
        answer = run.result(timeout=60)
        assert relative_error(answer, network(blocks)) < 0.6 * by_blocks(blocks)


@pytest.mark.filterwarnings("ignore:the estimate is above rtol")
@pytest.mark.parametrize("width", [3, 30, 300])
def test_estimates_by_rows_do_not_depend_on_how_many_outputs_are_sketched(client, width):
    """Of more than a thousand outputs, random combinations stand for all."""
    blocks = sample(rows=40)
    run = dask_bacc.encode(blocks.reshape(-1, 8), k=8, n=12).map(
        unless_lost, width, rtol=1e-9, client=client
    )
    answer = run.result(timeout=60)
    assert run.report.kernel.endswith("of rows")
    truth = network(blocks.reshape(-1, 8), width)
    ratio = relative_error(answer, truth) / run.report.error
    assert 0.4 < ratio < 2.5


@pytest.mark.filterwarnings("ignore:the estimate is above rtol")
def test_rows_of_members(client):
    array = np.random.default_rng(0).normal(size=(48, 4))
    weights = np.random.default_rng(1).normal(size=(4, 1000))[:, :20] / 3

    def both(block):
        return {"tanh": np.tanh(block @ weights), "sin": np.sin(block @ weights)}

    def both_unless_lost(block):
        if chunk_here() in LOST:
            raise OSError("lost")
        return both(block)

    coded = dask_bacc.encode(array, k=8, n=12)
    run = coded.map(both_unless_lost, rtol=1e-9, client=client)
    answer, truth = run.result(timeout=60), both(array)
    for name in truth:
        error = relative_error(answer[name], truth[name])
        assert error < 3 * run.report.error
    assert "of rows" in run.report.kernel
