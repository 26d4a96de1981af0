"""Functions that return anything: one element of a list for every block."""

from __future__ import annotations

import dask
import dask.array as da
import numpy as np
import pytest

import dask_bacc
from tests.shared import BLOCKS, X, assert_nothing_is_left


def described(block):
    """No numbers, no arrays, NaN, None, and objects of classes that workers must import."""
    return {
        "sum": block.sum() if block[0, 0] > 2 else None,
        "text": f"{block.shape}",
        "nan": np.array([np.nan, 1.0]),
        "when": np.datetime64("2020-01-01"),
        "type": type(block),
    }


def by_hand():
    return [described(block) for block in BLOCKS]


@pytest.mark.parametrize("limit", ["1 MiB", "10 B"])
@pytest.mark.parametrize("launch", ["eager", "backup"])
@pytest.mark.parametrize(
    "how",
    [{}, {"code": "uncoded"}, {"code": "repetition", "n": 16}, {"code": "systematic", "n": 8}],
)
@pytest.mark.parametrize("make", [np.asarray, lambda x: da.from_array(x, chunks=(3, 2))])
def test_results_are_what_the_function_returns(client, make, how, launch, limit):
    with dask.config.set({"bacc.gather-limit": limit}):
        coded = dask_bacc.encode(make(X), k=8, **how)
        run = coded.map(described, rtol=0, combine="list", launch=launch)
        np.testing.assert_equal(run.result(timeout=60), by_hand())
    assert run.report.error == 0 or run.report.error is None
    with pytest.raises(TypeError, match="gives a list of whatever the function returns"):
        run.to_dask_array()


def test_ever_more_of_a_list_is_all_of_it(client):
    run = dask_bacc.encode(X, k=8).map(described, combine="list")
    *_, last = run.partials()
    np.testing.assert_equal(last.answer, by_hand())


def raises_at_two(block):
    if block[0, 0] == BLOCKS[2][0, 0]:
        raise KeyError("two")
    return "fine"


def test_a_block_that_cannot_be_had_is_named(client):
    run = dask_bacc.encode(X, k=8).map(raises_at_two, combine="list")
    with pytest.raises(dask_bacc.DecodeError, match="chunk 2 raised KeyError") as raised:
        run.result(timeout=60)
    assert isinstance(raised.value.__cause__, KeyError)
    del run, raised
    assert_nothing_is_left(client)


@pytest.mark.parametrize(
    ("encoding", "options", "message"),
    [
        ({"n": 12}, {}, "combine='list' is for blocks as they stand, and .* mixes some"),
        ({}, {"decoder": "kriging"}, "copies results; decoder='kriging' mixes them"),
    ],
)
def test_what_would_mix_results_is_refused(client, encoding, options, message):
    coded = dask_bacc.encode(X, k=8, **encoding)
    with pytest.raises(ValueError, match=message):
        coded.map(described, combine="list", **options)


def test_without_n_blocks_stay_as_they_are(client):
    coded = dask_bacc.encode(da.from_array(X, chunks=(3, 2)))
    assert (coded.k, coded.n) == (8, 8)
    np.testing.assert_array_equal(coded.compute(), np.stack(BLOCKS))
    np.testing.assert_array_equal(coded.map(np.negative, rtol=0).result(timeout=60), -X)
