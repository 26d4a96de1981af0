"""Applying a generator or a decoder's weights to a sequence of arrays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np

from dask_bacc.coding._typing import AnyArray, FloatArray, IndexArray
from dask_bacc.coding.arrays import (
    WIDEST,
    as_inexact,
    astype,
    has_wide_integers,
    is_foreign,
    namespace,
    numpy_dtype,
    to_numpy,
)

#: Multiplications in one matrix product, at most. OpenBLAS, which NumPy is built with, starts no
#: threads below 2 ** 18, so many worker threads in one process do not get in each other's way;
#: and the operands stay in the cache.
_PRODUCT = 2**18


def combine_rows(matrix: FloatArray, arrays: Sequence[AnyArray], out: Sequence[AnyArray]) -> None:
    """Fill ``out[i] = sum_j matrix[i, j] arrays[j]``.

    A unit row is a copy, bit for bit, and an entry that is zero is never multiplied, so a NaN
    reaches only the rows that use it. Runs on the calling thread alone, in memory of about a
    megabyte besides `out`.

    Parameters
    ----------
    matrix : (r, m) ndarray of float64
    arrays : sequence of m ndarrays
        All of one shape.
    out : sequence of r ndarrays
        Written in place; all of the shape of `arrays` and of one inexact dtype.

    Examples
    --------
    >>> out = [np.empty(1), np.empty(1)]
    >>> combine_rows(np.array([[0.0, 1.0], [0.5, 0.5]]), [np.array([9.0]), np.array([3.0])], out)
    >>> out
    [array([3.]), array([6.])]
    """
    copies, mixed = _patterns(matrix)
    for i, j in copies:
        out[i][...] = arrays[j]
    for columns, rows in mixed:
        if len(columns) == 0:
            for i in rows:
                out[i][...] = 0
            continue
        used = [arrays[j] for j in columns.tolist()]
        _multiply(matrix[rows][:, columns], used, [out[i] for i in rows])


def combined_rows(
    matrix: FloatArray, arrays: Sequence[Any], dtype: np.dtype[np.generic] | None = None
) -> list[Any]:
    """The sums of `combine_rows` as new arrays, for arrays of any kind.

    Arrays that are not NumPy's need no more than multiplication by a Python number, addition and,
    if they hold integers, ``astype``; where their data is, it stays.

    Parameters
    ----------
    matrix : (r, m) ndarray of float64
    arrays : sequence of m arrays
        All of one shape and kind.
    dtype : dtype, optional
        Of the sums, inexact; by default that to which the arrays are promoted.

    Returns
    -------
    list of r arrays
        A unit row gives a new array too, if the kind can copy.

    Examples
    --------
    >>> combined_rows(np.array([[0.5, 0.5]]), [np.array([1, 2]), np.array([3, 2])])
    [array([2., 2.])]
    """
    if all(isinstance(array, np.ndarray | np.generic) for array in arrays):
        dtype = dtype or inexact_dtype(np.result_type(*arrays))
        out = [np.empty(arrays[0].shape, dtype) for _ in matrix]
        combine_rows(matrix, arrays, out)
        return out
    floating = [_as_inexact(array) for array in arrays]
    known = np.result_type(*map(numpy_dtype, floating))
    dtype = dtype or known
    wide = [astype(array, mixed_dtype(np.result_type(known, dtype))) for array in floating]
    return [astype(_duck_sum(row, wide), dtype) for row in matrix]


def inexact_dtype(dtype: np.dtype[np.generic]) -> np.dtype[np.generic]:
    """The dtype itself if real or complex floating point, float64 for integers and booleans.

    Raises
    ------
    TypeError
        For anything but numbers: objects, strings, datetimes.

    Examples
    --------
    >>> inexact_dtype(np.dtype("float32")), inexact_dtype(np.dtype("int8"))
    (dtype('float32'), dtype('float64'))
    """
    if dtype.kind in "fc":
        return dtype
    if dtype.kind in "iub":
        return np.dtype(np.float64)
    raise TypeError(
        f"cannot form linear combinations of dtype {dtype}; use a real or complex dtype"
    )


def mixed_dtype(dtype: np.dtype[np.generic]) -> np.dtype[np.generic]:
    """The dtype of sums of arrays of this dtype: single precision at least, and inexact.

    Half precision would overflow, and what it rounds away is magnified where blocks are decoded.

    Examples
    --------
    >>> mixed_dtype(np.dtype("float16")), mixed_dtype(np.dtype("int8"))
    (dtype('float32'), dtype('float64'))
    """
    return np.result_type(inexact_dtype(dtype), np.float32)


def too_large(array: Any) -> str | None:
    """What is wrong with an array's integers if float64 cannot hold them all; else None.

    Examples
    --------
    >>> too_large(np.array([2**53])) is None
    True
    >>> too_large(np.array([0, 2**60 + 1])).partition(",")[0]
    'has integers beyond 2**53 such as 1152921504606846977'
    """
    if not has_wide_integers(array):
        return None
    xp = namespace(array)
    ends = [to_numpy(end).item() for end in (xp.min(array), xp.max(array))]
    largest = max(ends, key=abs)
    # Other libraries' integers have been looked at as floats.
    if abs(largest) <= WIDEST:
        return None
    return (
        f"has integers beyond 2**53 such as {largest}, and integers are encoded as float64, which "
        "would round them; subtract an offset, or encode x >> 32 and x & 0xffffffff as two arrays"
    )


def answer_dtype(
    weights: FloatArray, dtypes: Sequence[np.dtype[np.generic]]
) -> np.dtype[np.generic]:
    """The dtype of decoded blocks: that of the results which are copied as they stand.

    Others may be more precise, as parity of half precision is, and tell nothing of what the
    function returns. Where nothing is copied, all results are promoted; complex results make all
    blocks complex.

    Parameters
    ----------
    weights : (k, m) ndarray of float64
        Of the results in the blocks.
    dtypes : sequence of m dtypes
        Of the results.

    Examples
    --------
    >>> half, single = np.dtype("float16"), np.dtype("float32")
    >>> answer_dtype(np.array([[1.0, 0.0], [-1.0, 2.0]]), [half, single])
    dtype('float16')
    >>> answer_dtype(np.array([[0.5, 0.5]]), [half, single])
    dtype('float32')
    """
    copies, _ = _patterns(weights)
    found = inexact_dtype(np.result_type(*({dtypes[j] for _, j in copies} or set(dtypes))))
    if any(dtype.kind == "c" for dtype in dtypes):
        return np.result_type(found, np.complex64)
    return found


def rounding(dtypes: Iterable[np.dtype[np.generic]]) -> float:
    """Share of a number's size to which the coarsest of these dtypes rounds; float64's at least.

    Examples
    --------
    >>> rounding([np.dtype("float32"), np.dtype("int8")])
    1.1920928955078125e-07
    """
    return max([_eps(np.dtype(np.float64)), *map(_eps, dtypes)])


@cache
def _eps(dtype: np.dtype[np.generic]) -> float:
    return float(np.finfo(inexact_dtype(dtype).name).eps)


def _patterns(
    matrix: FloatArray,
) -> tuple[list[tuple[int, int]], list[tuple[IndexArray, list[int]]]]:
    """Unit rows with their columns, and the other rows by the columns that they use."""
    used = matrix != 0
    first = used.argmax(axis=1)
    is_copy = (used.sum(axis=1) == 1) & (matrix[np.arange(len(matrix)), first] == 1)
    copies = [(int(i), int(first[i])) for i in np.flatnonzero(is_copy)]
    mixed: dict[bytes, list[int]] = {}
    for i in np.flatnonzero(~is_copy).tolist():
        mixed.setdefault(np.flatnonzero(used[i]).tobytes(), []).append(i)
    return copies, [(np.frombuffer(key, dtype=np.intp), rows) for key, rows in mixed.items()]


def _multiply(weights: FloatArray, arrays: list[AnyArray], out: list[AnyArray]) -> None:
    """Matrix products over pieces of the arrays, one after the other."""
    # Of single precision, sums in it would be off by several times what rounding them is.
    dtype = np.result_type(out[0].dtype, np.float64)
    rows, columns = weights.shape
    size = max(_PRODUCT // (rows * columns), 64)
    stack = np.empty((columns, size), dtype)
    product = np.empty((rows, size), dtype)
    weights = weights.astype(stack.real.dtype, copy=False)
    for ins, outs in _pieces(arrays, out, size):
        count = ins[0].size
        for row, piece in zip(stack, ins, strict=True):
            row[:count].reshape(piece.shape)[...] = piece
        # To a real matrix, a complex number is two real ones.
        parts = stack[:, :count].view(weights.dtype)
        np.matmul(weights, parts, out=product[:, :count].view(weights.dtype))
        for piece, row in zip(outs, product, strict=True):
            piece[...] = row[:count].reshape(piece.shape)


def _pieces(
    arrays: list[AnyArray], out: list[AnyArray], size: int
) -> Iterator[tuple[list[AnyArray], list[AnyArray]]]:
    """Corresponding pieces of all arrays, each of at most `size` elements."""
    if all(array.flags.c_contiguous for array in (*arrays, *out)):
        arrays = [array.reshape(-1) for array in arrays]
        out = [array.reshape(-1) for array in out]
    shape = out[0].shape
    if out[0].size <= size:
        if out[0].size:
            yield arrays, out
        return
    # Pieces along the first axis, of whole rows as long as a row is not too large by itself.
    step = max(size * shape[0] // out[0].size, 1)
    for start in range(0, shape[0], step):
        part = slice(start, start + step)
        ins, outs = [array[part] for array in arrays], [array[part] for array in out]
        if outs[0].size <= size:
            yield ins, outs
        else:
            yield from _pieces([a[0] for a in ins], [a[0] for a in outs], size)


def _as_inexact(array: Any) -> Any:
    if is_foreign(array):
        return as_inexact(array)
    wanted = inexact_dtype(array.dtype)
    return array if array.dtype == wanted else array.astype(wanted)


def _duck_sum(row: FloatArray, arrays: list[Any]) -> Any:
    columns = np.flatnonzero(row).tolist()
    if not columns:
        return 0.0 * arrays[0]
    total = float(row[columns[0]]) * arrays[columns[0]]
    for j in columns[1:]:
        total = total + float(row[j]) * arrays[j]
    return total
