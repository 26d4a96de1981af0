"""Blocks and results row by row: what is known of them, and weights of their own for rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dask_bacc.coding._typing import AnyArray, FloatArray, IndexArray
from dask_bacc.coding.linear import combine_rows


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of the blocks and of the results, for functions that may treat rows one by one."""

    #: ``(k, r, d)`` the blocks' rows, or sketches of them
    blocks: FloatArray
    #: ``(m, r, p)`` the results' rows in the order of their chunks, or sketches of them
    results: FloatArray

    @property
    def count(self) -> int:
        """Rows of a block."""
        return int(self.blocks.shape[1])

    def among(self, blocks: IndexArray, results: IndexArray) -> Rows:
        """Those of some blocks and some results."""
        return Rows(self.blocks[blocks], self.results[results])


@dataclass(frozen=True, eq=False)
class RowWeights:
    """Answers for some blocks, each row of which has weights of its own.

    Examples
    --------
    >>> swapped = np.array([[0.0, 1.0], [1.0, 0.0]])
    >>> weights = RowWeights(np.array([3]), np.array([0]), ((slice(0, 2), swapped),))
    >>> out = [np.empty(2)]
    >>> weights.fill(out, [np.array([5.0, 7.0])], axis=0)
    >>> out
    [array([7., 5.])]
    """

    #: positions of the blocks among all
    blocks: IndexArray
    #: positions of the results that have weights among all that returned
    results: IndexArray
    #: rows that have weights for each other, and a matrix from those of all results to those of
    #: all blocks, blocks and results varying slower than rows
    batches: tuple[tuple[slice, FloatArray], ...]

    @property
    def count(self) -> int:
        """Rows of a block."""
        return int(self.batches[-1][0].stop)

    def fill(self, out: Sequence[AnyArray], results: Sequence[AnyArray], axis: int) -> None:
        """Write the answers.

        Parameters
        ----------
        out : sequence of ndarrays
            One for each of `blocks`, of the results' shape and of one inexact dtype.
        results : sequence of ndarrays
            All that returned.
        axis : int
            Along which their rows lie.
        """
        sources = [np.moveaxis(results[i], axis, 0) for i in self.results.tolist()]
        targets = [np.moveaxis(array, axis, 0) for array in out]
        for rows, matrix in self.batches:
            # With an index of its own, a row of single numbers is a view too.
            places = range(rows.start, rows.stop)
            combine_rows(
                matrix,
                [source[place, ...] for source in sources for place in places],
                [target[place, ...] for target in targets for place in places],
            )

    def without(self, blocks: IndexArray) -> RowWeights:
        """Those of the other blocks."""
        kept = ~np.isin(self.blocks, blocks)
        batches = tuple(
            (
                rows,
                matrix.reshape(len(kept), -1, matrix.shape[1])[kept].reshape(-1, matrix.shape[1]),
            )
            for rows, matrix in self.batches
        )
        return replace(self, blocks=self.blocks[kept], batches=batches)

    def moved(self, blocks: IndexArray, results: IndexArray) -> RowWeights:
        """The same where these are the positions of the blocks and results counted so far."""
        return replace(self, blocks=blocks[self.blocks], results=results[self.results])


def row_axis(shape: Sequence[int], rows: int, first: int = 0) -> int | None:
    """The axis of results along which blocks of so many rows may have theirs, or None.

    Examples
    --------
    >>> row_axis((5, 7, 7), 7), row_axis((7, 5, 7), 7, first=2), row_axis((5, 1), 1)
    (1, 2, None)
    """
    if rows < 2:
        return None
    if first < len(shape) and shape[first] == rows:
        return first
    return next((axis for axis in range(len(shape)) if shape[axis] == rows), None)


def as_rows(array: AnyArray, axis: int) -> AnyArray:
    """``(r, p)`` rows of an array, flattened; a complex number becomes two real ones.

    Examples
    --------
    >>> as_rows(np.array([[1j, 2, 3], [4, 5, 6]]), axis=1)
    array([[0., 4., 1., 0.],
           [2., 5., 0., 0.],
           [3., 6., 0., 0.]])
    """
    rows = np.moveaxis(array, axis, 0).reshape(array.shape[axis], -1)
    if np.iscomplexobj(rows):
        rows = np.concatenate([rows.real, rows.imag], axis=1)
    return rows.astype(np.float64, copy=False)
