"""Sketches that keep the rows of a block apart, and the blocks' rows from those of chunks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dask_bacc.coding._typing import AnyArray, FloatArray
from dask_bacc.coding.arrays import is_foreign, power_of_two
from dask_bacc.coding.codes import Code
from dask_bacc.coding.kriging.sketch import determined_by, sketch, sketch_each
from dask_bacc.coding.rows import as_rows

#: Numbers in a sketch that keeps rows apart, at most: a megabyte.
MOST = 2**17
#: Lengths of a row's sketch, where rows are longer than that: primes, as in `sketch`. Shorter ones
#: would tell too little of how far rows are from each other.
LENGTHS = (61, 127, 251, 509, 1021, 2039, 4093)


def sketch_rows(array: AnyArray, axis: int, most: int = MOST) -> AnyArray:
    """Random projection of every row, or of the whole array where it has no rows or too many.

    All rows are projected alike, so that the same row has the same sketch wherever it is.

    Parameters
    ----------
    array : array
        Real or complex.
    axis : int
        Along which rows lie.
    most : int
        Numbers in the sketch.

    Returns
    -------
    (r, s) ndarray in double precision, or a flat one as of `sketch`

    Examples
    --------
    >>> sketch_rows(np.ones((3, 2)), axis=1).shape
    (2, 3)
    >>> sketch_rows(np.ones((9, 20_000)), axis=0).shape
    (9, 4093)
    >>> sketch_rows(np.ones((100_000, 3)), axis=0).shape
    (4093,)
    """
    count = array.shape[axis] if 0 <= axis < array.ndim else 1
    if is_foreign(array) or count < 2:
        return sketch(array)
    length = array.size // count
    if array.size > most:
        fitting = [size for size in LENGTHS if size * count <= most]
        if not fitting:
            return sketch(array)
        length = min(length, fitting[-1])
    rows = np.moveaxis(array, axis, 0).reshape(count, -1)
    return sketch_each(rows, length)


def rows_of_sketches(code: Code, sketches: Mapping[int, Sequence[AnyArray]]) -> FloatArray | None:
    """The blocks' rows as far as they follow from the sketches of some chunks.

    Parameters
    ----------
    code : Code
        Its rows sum to one.
    sketches : mapping of int to sequence of ndarrays
        For every chunk at hand, the sketches of its part of each encoded array, by `sketch_rows`.

    Returns
    -------
    (k, r, d) ndarray of float64, or None
        Rows of the encoded arrays side by side, each array scaled to a mean square of 1. NaN in
        groups of the code that the chunks do not determine; None if that is so of all groups, or
        if arrays have no rows or not as many as each other.

    Examples
    --------
    >>> from dask_bacc.coding import Uncoded
    >>> blocks = np.array([[[1.0], [1.0]], [[-1.0], [1.0]]])
    >>> rows_of_sketches(Uncoded(2, 2), {0: blocks[:1], 1: blocks[1:]})[:, :, 0]
    array([[ 1.,  1.],
           [-1.,  1.]])
    """
    kept = {i: parts for i, parts in sketches.items() if all(part.ndim == 2 for part in parts)}
    if not kept:
        return None
    parts = next(iter(kept.values()))
    if len({len(part) for part in parts}) > 1:
        return None
    found = [_blocks(code, {i: kept[i][number] for i in kept}) for number in range(len(parts))]
    blocks = np.concatenate(found, axis=2)
    return None if np.isnan(blocks).all() else blocks


def _blocks(code: Code, sketches: Mapping[int, AnyArray]) -> FloatArray:
    """The blocks' rows of one encoded array, NaN where they are not determined."""
    some = as_rows(next(iter(sketches.values())), 0)
    blocks = np.full((code.k, *some.shape), np.nan)
    for group in code.groups:
        members = [i for i in sorted(sketches) if group.chunks.start <= i < group.chunks.stop]
        if len(members) < group.code.k:
            continue
        inverse, rank = determined_by(
            group.code.generator[[i - group.chunks.start for i in members]]
        )
        if rank < group.code.k:
            continue
        stacked = np.stack([as_rows(sketches[i], 0) for i in members])
        largest = np.abs(stacked).max(initial=0.0)
        if not np.isfinite(largest):
            continue
        stacked = stacked / power_of_two(largest)
        mean = stacked.mean(axis=0)
        found = mean + np.tensordot(inverse, stacked - mean, 1)
        size = float((found**2).mean()) * found.shape[2]
        blocks[group.blocks] = found / np.sqrt(size if size > 0 else 1.0)
    return blocks
