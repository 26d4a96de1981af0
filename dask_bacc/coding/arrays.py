"""The little that is asked of arrays that are not NumPy's.

Such arrays, on a GPU say, are combined where they are, by the array API standard or, where a
library does not follow it (CuPy), by NumPy's functions, which hand its arrays over to it (NEP 18);
only what is small becomes NumPy's.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dask_bacc.coding._typing import AnyArray, FloatArray

#: NumPy's own kinds.
_NUMPY = (np.ndarray, np.generic)

#: Largest integer up to which float64 holds all.
WIDEST = 2**53

#: Dtypes of the array API standard.
_DTYPES = (
    *("float64", "float32", "complex128", "complex64", "bool"),
    *("int64", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8"),
)

#: Numbers of an array that show whether it is like others.
SOME = 1021

#: Ways out of another library, best first: the standard's, NumPy's, CuPy's before version 14 (or
#: NumPy's before 2.1) and that of sparse.
_WAYS: tuple[Callable[[Any], Any], ...] = (
    lambda array: np.from_dlpack(array, device="cpu"),
    np.asarray,
    lambda array: array.get(),
    lambda array: array.todense(),
)


def is_foreign(array: Any) -> bool:
    """Whether it is an array of another library, and not one that is still to be computed.

    Examples
    --------
    >>> is_foreign(np.zeros(2)), is_foreign([0.0, 0.0])
    (False, False)
    """
    if isinstance(array, _NUMPY):
        return False
    if hasattr(array, "__array_namespace__"):
        return True
    return hasattr(array, "__array_function__") and not hasattr(array, "__dask_graph__")


def as_array(array: Any) -> AnyArray:
    """A NumPy array, or the array itself if it is another library's."""
    return array if is_foreign(array) else np.asarray(array)


def namespace(array: Any) -> Any:
    """The functions for such arrays: NumPy's for all that do not bring their own."""
    return array.__array_namespace__() if hasattr(array, "__array_namespace__") else np


def library(array: Any) -> str:
    """Name of the module that has the functions for such arrays.

    Examples
    --------
    >>> library(np.zeros(2))
    'numpy'
    """
    if not is_foreign(array):
        return "numpy"
    xp = namespace(array)
    return str(type(array).__module__ if xp is np else xp.__name__)


def numpy_dtype(array: Any) -> np.dtype[Any]:
    """NumPy's name for an array's dtype; that of objects if it has none.

    Examples
    --------
    >>> numpy_dtype(np.zeros(2))
    dtype('float64')
    """
    dtype = array.dtype
    if isinstance(dtype, np.dtype):
        return dtype
    xp = namespace(array)
    return np.dtype(next((name for name in _DTYPES if dtype == getattr(xp, name)), object))


def nbytes(array: Any) -> int:
    """Bytes of an array.

    Examples
    --------
    >>> nbytes(np.zeros(2))
    16
    """
    known = getattr(array, "nbytes", None)  # the standard has no such attribute
    return math.prod(array.shape) * numpy_dtype(array).itemsize if known is None else int(known)


def copied(array: Any) -> Any:
    """A copy on the same device."""
    # CuPy's plain copy is on the current device.
    return copy.deepcopy(array) if is_foreign(array) else array.copy()


def astype(array: Any, dtype: np.dtype[Any] | type[Any]) -> Any:
    """The array in one of NumPy's dtypes; itself if that is its own.

    Examples
    --------
    >>> astype(np.zeros(1), np.float32)
    array([0.], dtype=float32)
    """
    xp = namespace(array)
    if xp is np:
        return array.astype(dtype, copy=False)
    return xp.astype(array, getattr(xp, np.dtype(dtype).name), copy=False)


def single(array: Any) -> Any:
    """The array in single precision if it is in half, else itself.

    Examples
    --------
    >>> single(np.zeros(1, np.float16)), single(np.zeros(1))
    (array([0.], dtype=float32), array([0.]))
    """
    return astype(array, np.float32) if numpy_dtype(array) == np.float16 else array


def as_inexact(array: Any) -> Any:
    """The array itself if it is floating point, in float64 if it holds integers or booleans."""
    kind = numpy_dtype(array).kind
    if kind in "fc":
        return array
    if kind not in "iub":
        raise TypeError(f"cannot form linear combinations of dtype {array.dtype}")
    return astype(array, np.float64)


def as_double(array: Any) -> Any:
    """The array in double precision, real or complex."""
    return astype(array, np.complex128 if is_complex(array) else np.float64)


def is_complex(array: Any) -> bool:
    """Whether it holds complex numbers."""
    return numpy_dtype(array).kind == "c"


def all_finite(array: Any) -> bool:
    """Whether it has neither NaN nor infinity."""
    if not is_foreign(array):
        return bool(np.isfinite(array).all())
    if numpy_dtype(array).kind not in "fc":
        return True  # the standard asks it of no boolean
    xp = namespace(array)
    return bool(xp.all(xp.isfinite(array)))


def without_nan(array: Any) -> Any:
    """The array with zeros for NaN and infinity."""
    if not is_foreign(array):
        return np.where(np.isfinite(array), array, array.dtype.type(0))
    if numpy_dtype(array).kind not in "fc":
        return array
    xp = namespace(array)
    return xp.where(xp.isfinite(array), array, xp.zeros_like(array))


def has_wide_integers(array: Any) -> bool:
    """Whether it holds integers beyond ``2**53``, which float64 cannot all tell apart.

    Examples
    --------
    >>> has_wide_integers(np.array([2**53])), has_wide_integers(np.array([-(2**53) - 1]))
    (False, True)
    """
    dtype = numpy_dtype(array)
    if dtype.kind not in "iu" or dtype.itemsize < 8 or 0 in array.shape:
        return False
    if is_foreign(array):
        return largest(array) >= WIDEST
    return bool(array.max() > WIDEST or array.min() < -WIDEST)


def exceeds_double(array: Any) -> bool:
    """Whether it holds finite numbers that are infinite in double precision.

    Examples
    --------
    >>> exceeds_double(np.array([np.inf, 1e308]))
    False
    """
    dtype = numpy_dtype(array)
    if dtype.kind not in "fc" or dtype.itemsize <= (8 if dtype.kind == "f" else 16):
        return False
    with np.errstate(over="ignore"):
        return not np.isfinite(as_double(array))[np.isfinite(array)].all()


def largest(array: Any) -> float:
    """The largest absolute value, 0 if there is none."""
    xp = namespace(array)
    return float(xp.max(xp.abs(as_inexact(array)))) if array.size else 0.0


def to_numpy(array: Any) -> AnyArray:
    """A NumPy array of a small array of any library, fetched from its device.

    Examples
    --------
    >>> to_numpy([1.0, 2.0])
    array([1., 2.])
    """
    if not is_foreign(array):
        return np.asarray(array)
    for way in _WAYS:
        try:
            found = way(array)
        except Exception:  # libraries raise errors of many kinds
            continue
        if isinstance(found, np.ndarray) and found.dtype == numpy_dtype(array):
            return found
    # One by one: what every library of the standard can do.
    number = complex if is_complex(array) else float
    values = [number(array[index]) for index in np.ndindex(array.shape)]
    return np.array(values).reshape(array.shape).astype(numpy_dtype(array))


def from_numpy(values: AnyArray, like: Any) -> Any:
    """An array of another library's kind, on the same device as one that is there."""
    xp = namespace(like)
    return np.asarray(values, like=like) if xp is np else xp.asarray(values, device=like.device)


def inner_products(arrays: Sequence[Any], scale: float) -> FloatArray:
    """Real parts of the arrays' inner products over `scale` squared, a NumPy array.

    Examples
    --------
    >>> inner_products([np.array([2.0, 0.0]), np.array([2.0, 4.0])], 2.0)
    array([[1., 1.],
           [1., 5.]])
    """
    xp = namespace(arrays[0])
    # In double precision: rounded to single, it would not be positive semidefinite.
    stacked = as_double(xp.stack([as_inexact(array) for array in arrays]))
    flat = xp.reshape(stacked, (len(arrays), -1)) / scale
    if is_complex(flat):
        flat = xp.concat([xp.real(flat), xp.imag(flat)], axis=1)
    return to_numpy(xp.matmul(flat, flat.T))


def some_values(array: Any) -> AnyArray:
    """At most `SOME` numbers of an array, evenly spaced, in double precision; a flat NumPy array.

    Examples
    --------
    >>> some_values(np.array([[1, 2], [3, 4]]))
    array([1., 2., 3., 4.])
    """
    step = sample_step(array.size)
    if not is_foreign(array):
        some: AnyArray = array.reshape(-1)[::step]
        return some.astype(np.result_type(array, np.float64), copy=False)
    flat = namespace(array).reshape(array, (-1,))
    return to_numpy(as_double(as_inexact(flat[::step])))


def sample_step(size: int) -> int:
    """Of how many numbers of an array of so many `some_values` takes one."""
    return max(-(-size // SOME), 1)


def power_of_two(size: float) -> float:
    """A power of two of about this size, by which dividing loses no digit; 1 for zero.

    Squares of very large and very small numbers would overflow and vanish.

    Examples
    --------
    >>> power_of_two(1000.0)
    1024.0
    """
    return math.ldexp(1.0, min(math.frexp(size)[1], 1023)) if size > 0 else 1.0
