"""Applying a generator or a decoder's weights to stacked arrays."""

from __future__ import annotations

import numpy as np

from dask_bacc.coding._typing import AnyArray, FloatArray


def combine_rows(matrix: FloatArray, values: AnyArray) -> AnyArray:
    """Product of a small matrix with a stack of arrays, ``out[i] = sum_j matrix[i, j] values[j]``.

    A unit row is a copy, bit for bit, and an entry that is zero is never multiplied, so a NaN
    reaches only the rows that use it.

    Parameters
    ----------
    matrix : (r, m) ndarray of float64
    values : (m, ...) ndarray of an inexact dtype

    Returns
    -------
    (r, ...) ndarray of the dtype of `values`

    Examples
    --------
    >>> combine_rows(np.array([[0.0, 1.0], [0.5, 0.5]]), np.array([np.inf, 3.0]))
    array([ 3., inf])
    """
    flat = values.reshape(len(values), -1)
    out = np.empty((len(matrix), flat.shape[1]), dtype=values.dtype)
    weights = matrix.astype(np.result_type(values.real.dtype), copy=False)
    used = matrix != 0
    dense = used.all(axis=1)
    if dense.any():
        out[dense] = weights[dense] @ flat
    for row in np.flatnonzero(~dense):
        columns = np.flatnonzero(used[row])
        if len(columns) == 1 and matrix[row, columns[0]] == 1:
            out[row] = flat[columns[0]]
        else:
            out[row] = weights[row, columns] @ flat[columns]
    return out.reshape(len(matrix), *values.shape[1:])


def as_inexact(values: AnyArray) -> AnyArray:
    """The array itself if real or complex floating point, else its values as float64.

    Raises
    ------
    TypeError
        For anything but numbers: objects, strings, datetimes.
    """
    if values.dtype.kind in "fc":
        return values
    if values.dtype.kind in "iub":
        return values.astype(np.float64)
    raise TypeError(
        f"cannot form linear combinations of dtype {values.dtype}; use a real or complex dtype"
    )
