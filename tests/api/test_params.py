"""A function of many sets of parameters."""

from __future__ import annotations

import numpy as np
import pytest

import dask_bacc
from tests.shared import assert_nothing_is_left


def test_results_are_those_of_client_map_in_order(client):
    xs, ys = list(range(50)), np.arange(50)[::-1]
    expected = client.gather(client.map(pow, xs, ys, pure=False))
    assert dask_bacc.map(pow, xs, ys).result(timeout=60) == expected


def test_results_may_be_anything_and_parameters_come_from_anywhere(client):
    rows = np.arange(6.0).reshape(3, 2)
    found = dask_bacc.map(lambda row: {"row": row.tolist()}, rows).result(timeout=60)
    assert found == [{"row": row} for row in rows.tolist()]
    found = dask_bacc.map(sorted, (word for word in ["ba", "dc"]), kwargs={"reverse": True})
    assert found.result(timeout=60) == [["b", "a"], ["d", "c"]]


def test_many_sets_are_run_several_to_a_task(client):
    run = dask_bacc.map(abs, range(-3000, 0))
    assert run.report.k < 200
    assert run.result(timeout=60) == list(range(3000, 0, -1))
    run = dask_bacc.map(abs, range(-7, 0), batch_size=3)
    assert run.report.k == 3
    assert run.result(timeout=60) == [7, 6, 5, 4, 3, 2, 1]
    del run
    assert_nothing_is_left(client)


def test_one_that_raises(client):
    with pytest.raises(dask_bacc.DecodeError) as info:
        dask_bacc.map(lambda p: 1 / p, [1, 0, 2]).result(timeout=60)
    assert isinstance(info.value.__cause__, ZeroDivisionError)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: dask_bacc.map(3, [1]), TypeError, "func must be callable"),
        (lambda: dask_bacc.map(abs), ValueError, "at least one iterable"),
        (lambda: dask_bacc.map(abs, []), ValueError, "no parameters"),
        (lambda: dask_bacc.map(pow, [1, 2], [1]), ValueError, "of one length"),
    ],
)
def test_bad_input(client, call, error, message):
    with pytest.raises(error, match=message):
        call()
