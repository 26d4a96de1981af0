"""Along which axis results are joined, and what is refused at the first result."""

from __future__ import annotations

import numpy as np
import pytest
from distributed import Event

import dask_bacc
from dask_bacc.results.joining import Cut, Joining
from tests.shared import chunk_here

ROWS, COLUMNS = Cut((2, 3), 0, "time"), Cut((3, 2), 1, "time")


@pytest.mark.parametrize(
    ("cuts", "shape", "dims", "axis"),
    [
        ((ROWS,), (2, 3), None, 0),
        ((ROWS, COLUMNS), (3, 2), None, 1),
        ((COLUMNS, ROWS), (2, 3), None, 0),
        ((ROWS, Cut((2,), 0)), (7, 5), None, 0),
        ((Cut((4, 4), 1), Cut((4, 4), 1)), (4, 4), None, 1),
        ((ROWS, COLUMNS), (5, 6, 2), ("a", "b", "time"), 2),
        ((ROWS, Cut((3, 2), 1, "x")), (5, 2), ("b", "x"), 1),
        ((Cut((2, 3), 0),), (2, 3), ("b", "a"), 0),
    ],
)
def test_the_axis_is_that_of_what_is_returned(cuts, shape, dims, axis):
    assert Joining("concat", cuts).axis_of(shape, dims) == axis
    assert Joining("stack", cuts).axis_of(shape, dims) is None


@pytest.mark.parametrize(
    ("cuts", "shape", "dims", "message"),
    [
        ((ROWS, COLUMNS), (5, 5), None, "axes 0 or 1.*return a DataArray.*combine='stack'"),
        ((Cut((4, 4), 0), Cut((4, 4), 1)), (4, 4), None, "axes 0 or 1"),
        ((ROWS,), (), None, "scalar results cannot be concatenated; use combine='stack'"),
        ((COLUMNS,), (3,), None, r"shape \(3,\) have no axis 1"),
        ((ROWS,), (3,), ("x",), r"dimensions \('x',\), without 'time'.*combine='stack'"),
        ((ROWS, Cut((3, 2), 1, "x")), (2, 2), ("x", "time"), "along 'time' or 'x'"),
    ],
)
def test_what_is_not_clear_is_refused(cuts, shape, dims, message):
    with pytest.raises(ValueError, match=message):
        Joining("concat", cuts).axis_of(shape, dims)
    assert Joining("sum", cuts).axis_of(shape, dims) is None


def test_scalars_are_refused_with_the_first_result(client, gate):
    """Not when all are in: the others would wait for ever."""

    def work(block):
        if chunk_here() != 0:
            Event(gate).wait()
        return block.sum()

    run = dask_bacc.encode(np.arange(16.0), k=4, n=6).map(work, client=client)
    with pytest.raises(ValueError, match="scalar results cannot be concatenated"):
        run.result(timeout=60)
    assert run.status == "error"


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
