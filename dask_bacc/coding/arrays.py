"""The little that is asked of arrays that are not NumPy's, by the array API standard.

Such arrays, on a GPU say, are combined where they are; only inner products become NumPy's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dask_bacc.coding._typing import AnyArray, FloatArray


def is_foreign(array: Any) -> bool:
    """Whether it is an array of another library that follows the array API standard.

    Examples
    --------
    >>> is_foreign(np.zeros(2)), is_foreign([0.0, 0.0])
    (False, False)
    """
    return hasattr(array, "__array_namespace__") and not isinstance(array, np.ndarray | np.generic)


def as_array(array: Any) -> AnyArray:
    """A NumPy array, or the array itself if it is another library's."""
    return array if is_foreign(array) else np.asarray(array)


def namespace(array: Any) -> Any:
    """The functions for such arrays: NumPy's for all that do not bring their own."""
    return array.__array_namespace__() if is_foreign(array) else np


def as_inexact(array: Any) -> Any:
    """The array itself if it is floating point, in float64 if it holds integers or booleans."""
    xp = namespace(array)
    if xp.isdtype(array.dtype, ("real floating", "complex floating")):
        return array
    if not xp.isdtype(array.dtype, ("bool", "integral")):
        raise TypeError(f"cannot form linear combinations of dtype {array.dtype}")
    return xp.astype(array, xp.float64)


def is_complex(array: Any) -> bool:
    """Whether it holds complex numbers."""
    return bool(namespace(array).isdtype(array.dtype, "complex floating"))


def all_finite(array: Any) -> bool:
    """Whether it has neither NaN nor infinity."""
    xp = namespace(array)
    return bool(xp.all(xp.isfinite(array)))


def largest(array: Any) -> float:
    """The largest absolute value, 0 if there is none."""
    xp = namespace(array)
    return float(xp.max(xp.abs(array))) if array.size else 0.0


def inner_products(arrays: Sequence[Any], scale: float) -> FloatArray:
    """Real parts of the arrays' inner products over `scale` squared, a NumPy array.

    Examples
    --------
    >>> inner_products([np.array([2.0, 0.0]), np.array([2.0, 4.0])], 2.0)
    array([[1., 1.],
           [1., 5.]])
    """
    xp = namespace(arrays[0])
    flat = xp.reshape(xp.stack([as_inexact(array) for array in arrays]), (len(arrays), -1))
    # In double precision: rounded to single, it would not be positive semidefinite.
    flat = xp.astype(flat, xp.complex128 if is_complex(flat) else xp.float64, copy=False) / scale
    if is_complex(flat):
        flat = xp.concat([xp.real(flat), xp.imag(flat)], axis=1)
    gram = xp.matmul(flat, flat.T)
    if xp is np:
        return np.asarray(gram)
    # One by one: not every library lets NumPy read its memory.
    size = range(len(arrays))
    return np.array([[float(gram[i, j]) for j in size] for i in size])
