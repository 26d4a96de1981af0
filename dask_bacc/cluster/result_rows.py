"""Rows of the results of a run, for decoders that look at rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dask_bacc.cluster.structure import FlatResult
from dask_bacc.coding._typing import FloatArray
from dask_bacc.coding.arrays import is_foreign
from dask_bacc.coding.kriging.row_sketch import LENGTHS
from dask_bacc.coding.kriging.sketch import sketch_each
from dask_bacc.coding.rows import Rows, as_rows, row_axis

#: Numbers that are kept of a result, about; of rows with more outputs these are sketched.
MOST = 2**17


class ResultRows:
    """Rows of results, each result looked at once.

    Parameters
    ----------
    axis : int
        Along which rows of results lie, if their number says nothing else.

    Examples
    --------
    >>> from dask_bacc.cluster.structure import flatten
    >>> blocks, results = np.ones((1, 3, 2)), {0: flatten(np.ones((4, 3)))}
    >>> ResultRows(0).of(0, blocks, results, [0], 2.0).results
    array([[[0.5, 0.5, 0.5, 0.5],
            [0.5, 0.5, 0.5, 0.5],
            [0.5, 0.5, 0.5, 0.5]]])
    """

    def __init__(self, axis: int) -> None:
        self._axis = axis
        self._found: dict[tuple[int, int], FloatArray] = {}

    def of(
        self,
        leaf: int,
        blocks: FloatArray,
        results: Mapping[int, FlatResult],
        chunks: Sequence[int],
        unit: float,
    ) -> Rows | None:
        """Rows of a leaf of some results, in some unit; None if it has not as many as blocks."""
        some = results[chunks[0]].leaves[leaf]
        axis = None if is_foreign(some) else row_axis(some.shape, blocks.shape[1], self._axis)
        if axis is None:
            return None
        return Rows(blocks, np.stack([self._of(leaf, i, results, axis) for i in chunks]) / unit)

    def _of(
        self, leaf: int, chunk: int, results: Mapping[int, FlatResult], axis: int
    ) -> FloatArray:
        if (leaf, chunk) not in self._found:
            rows = as_rows(results[chunk].leaves[leaf], axis)
            fitting = [size for size in LENGTHS if size * len(rows) <= MOST]
            self._found[leaf, chunk] = sketch_each(rows, max(fitting, default=LENGTHS[0]))
        return self._found[leaf, chunk]
