"""Applying a generator or a decoder's weights to a sequence of arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dask_bacc.coding._typing import AnyArray, FloatArray


def combine_rows(matrix: FloatArray, arrays: Sequence[AnyArray], out: Sequence[AnyArray]) -> None:
    """Fill ``out[i] = sum_j matrix[i, j] arrays[j]``.

    A unit row is a copy, bit for bit, and an entry that is zero is never multiplied, so a NaN
    reaches only the rows that use it.

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
    mixed: dict[bytes, list[int]] = {}
    for i, row in enumerate(matrix):
        columns = np.flatnonzero(row)
        if len(columns) == 1 and row[columns[0]] == 1:
            out[i][...] = arrays[columns[0]]
        else:
            mixed.setdefault(columns.tobytes(), []).append(i)
    for pattern, rows in mixed.items():
        columns = np.frombuffer(pattern, dtype=np.intp)
        target = out[rows[0]]
        if len(columns) == 0:
            for i in rows:
                out[i][...] = 0
            continue
        stack = np.stack([arrays[j] for j in columns.tolist()]).reshape(len(columns), -1)
        # Half precision would overflow and lose digits in the sums.
        stack = stack.astype(np.result_type(target.dtype, np.float32), copy=False)
        weights = matrix[rows][:, columns].astype(stack.real.dtype, copy=False)
        for i, values in zip(rows, weights @ stack, strict=True):
            out[i][...] = values.reshape(target.shape)


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
