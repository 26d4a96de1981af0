"""What runs on a worker where answers are decoded: weighted sums of results."""

from __future__ import annotations

from typing import Any

import numpy as np

from dask_bacc.coding._typing import AnyArray, FloatArray
from dask_bacc.coding.arrays import astype
from dask_bacc.coding.linear import combined_rows
from dask_bacc.results.combine import check_finite
from dask_bacc.worker.brought import ChunkResult


def weighted_sum(
    row: FloatArray,
    leaf: int,
    dtype: np.dtype[np.generic],
    new_axis: bool,
    finite: bool,
    *results: ChunkResult | AnyArray,
) -> AnyArray:
    """The weighted sum of a leaf of results; a unit row copies nothing."""
    if len(results) == 1 and row[0] == 1:
        total: AnyArray = astype(leaf_of(results[0], leaf), dtype)
        return total[None, ...] if new_axis else total
    return weighted_sums(leaf, dtype, new_axis, finite, row[None], *results)[0]


def weighted_sums(
    leaf: int,
    dtype: np.dtype[np.generic],
    new_axis: bool,
    finite: bool,
    matrix: FloatArray,
    *results: ChunkResult | AnyArray,
) -> list[AnyArray]:
    """The weighted sums of a leaf of results for every row."""
    arrays = [leaf_of(brought, leaf) for brought in results]
    with np.errstate(over="ignore", invalid="ignore"):  # checked below, with a clearer word
        sums = combined_rows(matrix, arrays, dtype)
    for total in sums if finite else ():
        check_finite(total)
    return [total[None, ...] if new_axis else total for total in sums]


def leaf_slice(leaf: int, brought: ChunkResult | AnyArray, index: tuple[Any, ...]) -> AnyArray:
    """A part of a leaf of a result, its members along the first axis if there are several."""
    part: AnyArray = leaf_of(brought, leaf)[index]
    return part


def leaf_of(brought: ChunkResult | AnyArray, leaf: int) -> AnyArray:
    """A leaf of a result, or what was taken out of one."""
    if not isinstance(brought, ChunkResult):
        return brought  # it was taken out before it travelled
    assert brought.result is not None  # only what is sent ahead of it goes without
    array = brought.result.leaves[leaf]
    return array[0, ...] if array.shape[0] == 1 else array


def added(finite: bool, *arrays: AnyArray) -> AnyArray:
    """The sum of arrays, which has to be finite if the results were."""
    total = arrays[0]
    with np.errstate(over="ignore", invalid="ignore"):
        for array in arrays[1:]:
            total = total + array
    if finite:
        check_finite(total)
    return total
