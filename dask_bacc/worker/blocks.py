"""What workers refuse before there is arithmetic on it: blocks that are not what dask says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dask_bacc.coding._typing import FloatArray
from dask_bacc.coding.arrays import is_foreign, numpy_dtype
from dask_bacc.coding.linear import combined_rows, mixed_dtype, too_large
from dask_bacc.records.errors import RefusedError


@dataclass(frozen=True)
class Expected:
    """What the blocks of an encoded array are to be."""

    #: position of the array among those that are encoded together
    array: int
    #: shape of a block; None for slices of one
    shape: tuple[int, ...] | None
    #: dtype of what is combined from blocks, at least
    dtype: np.dtype[np.generic]


def check_block(block: Any, name: str, shape: tuple[int, ...] | None = None) -> None:
    """Refuse what cannot be combined linearly, or has another shape.

    Parameters
    ----------
    block : object
    name : str
        For messages.
    shape : tuple of int, optional
        What it must be.

    Raises
    ------
    RefusedError

    Examples
    --------
    >>> check_block(np.ma.zeros(3), "block 2")
    Traceback (most recent call last):
    dask_bacc.records.errors.RefusedError: block 2 is a masked array, although the array's meta \
says otherwise, and masked values cannot be combined linearly; fill them before encode, with \
map_blocks(numpy.ma.filled, ...)
    """
    if (problem := _problem(block, shape)) is not None:
        raise RefusedError(f"{name} {problem}")


def _problem(block: Any, shape: tuple[int, ...] | None) -> str | None:
    if isinstance(block, np.ma.MaskedArray):
        return (
            "is a masked array, although the array's meta says otherwise, and masked values "
            "cannot be combined linearly; fill them before encode, with "
            "map_blocks(numpy.ma.filled, ...)"
        )
    if not (isinstance(block, np.ndarray) or is_foreign(block)):
        return (
            f"is of type {type(block).__module__}.{type(block).__name__}, although the array's "
            "meta says otherwise; make arrays of blocks before encode, with map_blocks and "
            "numpy.asarray, to_numpy() or toarray()"
        )
    dtype = block.dtype if isinstance(block, np.ndarray) else numpy_dtype(block)
    if dtype.kind not in "biufc":
        return (
            f"has dtype {block.dtype}, although the array's meta says otherwise; only real and "
            "complex numbers can be combined linearly, so make numbers of it before encode, with "
            "map_blocks and astype"
        )
    if shape is not None and tuple(block.shape) != shape:
        return (
            f"has shape {tuple(block.shape)}, although the array's chunks say {shape}; give "
            "map_blocks or from_delayed the shape that blocks really have"
        )
    return None


def weighted_sums(
    expected: Expected, numbers: Sequence[int], matrix: FloatArray, *blocks: Any
) -> list[Any]:
    """The products of all rows of a matrix with blocks of a dask array, or slices of them.

    Parameters
    ----------
    expected : Expected
    numbers : sequence of int
        Of the blocks.
    matrix : (r, m) ndarray
    *blocks : m arrays

    Raises
    ------
    RefusedError
    """
    for number, block in zip(numbers, blocks, strict=True):
        name = f"block {number} of array {expected.array}"
        check_block(block, name, expected.shape)
        if (problem := too_large(block)) is not None:
            raise RefusedError(f"{name} {problem}")
    dtypes = [mixed_dtype(numpy_dtype(block)) for block in blocks]
    return combined_rows(matrix, blocks, np.result_type(expected.dtype, *dtypes))


def weighted_sum(
    expected: Expected, numbers: Sequence[int], coefficients: FloatArray, *blocks: Any
) -> Any:
    """One coded chunk, ``sum_j coefficients[j] blocks[j]``; a new array.

    Examples
    --------
    >>> expected = Expected(0, (2,), np.dtype(np.float64))
    >>> weighted_sum(expected, [0, 1], np.array([0.5, 0.5]), np.array([1, 2]), np.array([3, 2]))
    array([2., 2.])
    """
    return weighted_sums(expected, numbers, coefficients[None, :], *blocks)[0]


def slice_of(block: Any, index: Any, expected: Expected, number: int) -> Any:
    """A view of part of a block."""
    check_block(block, f"block {number} of array {expected.array}", expected.shape)
    return block[index]
