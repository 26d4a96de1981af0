"""What is mapped: functions, arrays, arguments and structures."""

from __future__ import annotations

import dask
import dask.array as da
import numpy as np
import pytest

import dask_bacc
from tests.shared import X, own_block


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
