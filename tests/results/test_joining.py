"""Along which axis results are joined, and what is refused."""

from __future__ import annotations

import pytest

from dask_bacc.results.joining import Cut, Joining
from tests.shared import along

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


@pytest.mark.parametrize(
    ("shape", "message"),
    [((), "scalar results cannot"), ((3,), r"shape \(3,\) have no axis 1")],
)
def test_concat_needs_the_axis(shape, message):
    with pytest.raises(ValueError, match=f"{message}.*use combine='stack'"):
        along("concat", 1).axis_of(shape)
