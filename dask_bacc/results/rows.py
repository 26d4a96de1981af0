"""Rows of the results of a run, for decoders that look at rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dask_bacc.coding._typing import AnyArray, FloatArray
from dask_bacc.coding.arrays import is_foreign
from dask_bacc.coding.kriging.rows.sketch import LENGTHS
from dask_bacc.coding.kriging.sketch import sketch_each
from dask_bacc.coding.rows import Rows, as_rows, row_axis
from dask_bacc.results.joining import Joining
from dask_bacc.results.result import FlatResult

#: Numbers that are kept of a result, about; of rows with more outputs these are sketched.
MOST = 2**17


class ResultRows:
    """Rows of results, each result looked at once.

    Parameters
    ----------
    joining : Joining
        Says along which axis rows of results lie, if their number says nothing else.

    Examples
    --------
    >>> from dask_bacc.results.joining import Cut, Joining
    >>> from dask_bacc.results.result import flat_result
    >>> blocks, results = np.ones((1, 3, 2)), {0: flat_result(np.ones((4, 3)))}
    >>> rows = ResultRows(Joining("stack", (Cut((3, 2), 0),)))
    >>> rows.of(0, blocks, results, [0], np.array([2.0])).results
    array([[[0.5, 0.5, 0.5, 0.5],
            [0.5, 0.5, 0.5, 0.5],
            [0.5, 0.5, 0.5, 0.5]]])
    """

    def __init__(self, joining: Joining) -> None:
        self._joining = joining
        self._units: dict[int, FloatArray] = {}
        self._found: dict[int, dict[int, FloatArray]] = {}

    def of(
        self,
        leaf: int,
        blocks: FloatArray,
        results: Mapping[int, FlatResult],
        chunks: Sequence[int],
        units: FloatArray,
    ) -> Rows | None:
        """Rows of a leaf of some results; None if it has not as many as blocks.

        Parameters
        ----------
        leaf : int
        blocks : (k, r, d) ndarray
            Rows of the blocks.
        results : mapping of int to FlatResult
        chunks : sequence of int
        units : ndarray
            In which rows are given: one for each member, or for all together.
        """
        some = results[chunks[0]]
        about = some.layout.leaves[leaf]
        first = self._joining.likely_rows(about.shape, about.dims)
        axis = row_axis(about.shape, blocks.shape[1], first)
        if axis is None or is_foreign(some.leaves[leaf]):
            return None
        if leaf not in self._found or not np.array_equal(units, self._units[leaf]):
            self._found[leaf], self._units[leaf] = {}, units
        known = self._found[leaf]
        for chunk in chunks:
            if chunk not in known:
                known[chunk] = _rows(results[chunk].leaves[leaf], units, axis + 1)
        return Rows(blocks, np.stack([known[chunk] for chunk in chunks]))


def _rows(array: AnyArray, units: FloatArray, axis: int) -> FloatArray:
    rows = as_rows(array / units.reshape(-1, *(1,) * (array.ndim - 1)), axis)
    fitting = [size for size in LENGTHS if size * len(rows) <= MOST]
    return sketch_each(rows, max(fitting, default=LENGTHS[0]))
