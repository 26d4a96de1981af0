"""NaN in the data: filled before blocks are mixed, and restored in the answer."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from distributed import Event

import dask_bacc
from tests.shared import wait_until

K, ROWS, COLUMNS = 8, 3, 5
#: Land, which is NaN always, and gaps in the measurements.
FIELD = np.sin(np.arange(K * ROWS)[:, None] / 9 + np.arange(COLUMNS)) + 2
FIELD[:, 1] = np.nan
FIELD[[2, 9, 10], [0, 3, 4]] = np.nan


def block_of(field):
    """A block as a function that knows nothing of NaN wants it."""
    assert np.isfinite(field).all()
    return field


def squared(block):
    return block_of(block) ** 2


def over_time(block):
    return block_of(block).mean(axis=0)


def of_each(block):
    return block_of(block).mean(axis=0, keepdims=True)


def by_block(field):
    return field.reshape(K, ROWS, COLUMNS)


LAND = np.isnan(FIELD).all(axis=0)
#: A block's mean over what is there, for columns without a gap.
WHOLE = ~np.isnan(FIELD).any(axis=0)


@pytest.mark.parametrize("make", [np.asarray, lambda x: da.from_array(x, chunks=(ROWS, 2))])
@pytest.mark.parametrize("missing", [(), (1, 6)])
def test_nan_is_where_it_would_be_without_a_code(client, gate, make, missing):
    """NumPy over the same data is what is right, also where the block itself was lost."""

    held = [FIELD[ROWS * block, 2] for block in missing]

    def func(block, gate):
        if block_of(block)[0, 2] in held:
            Event(gate).wait()
        return block**2

    coded = dask_bacc.encode(make(FIELD), k=K, n=12, nan="fill")
    run = coded.map(func, gate, enough=12 - len(missing), rtol=np.inf, copies=False)
    answer = run.result(timeout=60)
    assert bool(run.report.error) == bool(missing)
    np.testing.assert_array_equal(np.isnan(answer), np.isnan(FIELD))
    exact = np.setdiff1d(np.arange(K), missing)
    np.testing.assert_allclose(by_block(answer)[exact], by_block(FIELD**2)[exact], rtol=1e-12)
    off = np.nanmean((answer - FIELD**2) ** 2) ** 0.5
    assert off <= 3 * run.report.error * np.nanmean(FIELD**4) ** 0.5
    Event(gate, client=client).set()


@pytest.mark.parametrize(
    ("func", "combine", "right"),
    [
        (over_time, "stack", np.broadcast_to(LAND, (K, COLUMNS))),
        (of_each, "concat", np.broadcast_to(LAND, (K, COLUMNS))),
        (over_time, "mean", LAND),
        (squared, "stack", np.isnan(by_block(FIELD))),
        (squared, "sum", np.isnan(by_block(FIELD)).any(axis=0)),
    ],
)
def test_what_is_reduced_has_nan_where_there_was_nothing_else(client, func, combine, right):
    answer = dask_bacc.encode(FIELD, k=K, n=10, nan="fill").map(func, combine=combine).result()
    np.testing.assert_array_equal(np.isnan(answer), right)
    if func is not squared:
        means = by_block(FIELD)[..., WHOLE].mean(axis=1)
        expected = means.mean(axis=0) if combine == "mean" else means
        np.testing.assert_allclose(answer[..., WHOLE], expected, rtol=1e-12)


def test_labels_and_containers_are_kept(client):
    field = xr.DataArray(FIELD, dims=("time", "x"), name="t").chunk(time=ROWS)
    coded = dask_bacc.encode(field, dim="time", n=10, nan="fill").persist()
    for _ in range(2):
        answer = coded.map(lambda block: {"a": block + 1, "b": block.astype("f4")}).result()
        xr.testing.assert_allclose(answer["a"], field.compute() + 1)
        assert answer["b"].dtype == "f4"
        assert np.isnan(answer["b"]).sum() == np.isnan(FIELD).sum()


def test_partial_answers_have_nan_too(client, gate):
    held = FIELD[0, 2]

    def func(block, gate):
        if block[0, 2] == held:
            Event(gate).wait()
        return block

    run = dask_bacc.encode(FIELD, k=K, n=12, nan="fill").map(func, gate, rtol=0, copies=False)
    wait_until(lambda: len(run.report.returned) >= K)
    first = next(iter(run.partials()))
    np.testing.assert_array_equal(np.isnan(first.answer), np.isnan(FIELD))
    Event(gate, client=client).set()


def test_of_what_nobody_knows_where_nan_belongs_is_refused_at_once(client):
    coded = dask_bacc.encode(FIELD, k=K, n=10, nan="fill")
    with pytest.raises(ValueError, match=r"shape \(3, 5\), results \(5, 3\): fill NaN before"):
        coded.map(np.transpose, combine="stack").result()
    with pytest.raises(TypeError, match="use result"):
        coded.map(squared).to_dask_array()
    with pytest.raises(ValueError, match="encode without"):
        dask_bacc.encode(FIELD, k=K, nan="fill").map(squared, combine="list")
    with pytest.raises(ValueError, match="unknown nan 'drop'"):
        dask_bacc.encode(FIELD, k=K, nan="drop")
