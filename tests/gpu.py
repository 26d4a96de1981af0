"""Stand-ins for arrays on a GPU where there is none."""

from __future__ import annotations

from typing import Any

import array_api_strict as strict
import dask
import dask.array as da
import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

#: What NumPy cannot read by ``asarray``.
DEVICE = strict.Device("device1")


class GPUArray(NDArrayOperatorsMixin):
    """As far as it goes, like CuPy's.

    No ``__array_namespace__``: NumPy's functions are handed to it by name, those of CuPy 13 alone.
    It never becomes a NumPy array by itself, nor meets one in a function, and leaves its device by
    ``get``.
    """

    FUNCTIONS = (
        *("all", "asarray", "concatenate", "copy", "empty", "full_like", "imag", "max", "min"),
        *("real", "reshape", "stack", "sum", "zeros"),
    )

    def __init__(self, data: np.ndarray) -> None:
        self._data = np.asarray(data)
        self.dtype, self.shape = self._data.dtype, self._data.shape
        self.ndim, self.size, self.nbytes = self._data.ndim, self._data.size, self._data.nbytes

    def get(self) -> np.ndarray:
        return self._data.copy()

    def copy(self) -> GPUArray:
        return GPUArray(self._data.copy())

    def astype(self, dtype: Any, copy: bool = True) -> GPUArray:
        return GPUArray(self._data.astype(dtype, copy=copy))

    @property
    def T(self) -> GPUArray:
        return GPUArray(self._data.T)

    def __reduce__(self) -> Any:
        return GPUArray, (self.get(),)

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        raise TypeError("Implicit conversion to a NumPy array is not allowed.")

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if func.__name__ not in self.FUNCTIONS or any(t is not GPUArray for t in types):
            return NotImplemented
        kwargs.pop("like", None)
        return GPUArray(func(*_inside(args), **_inside(kwargs)))

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if any(isinstance(array, np.ndarray) for array in inputs):
            raise TypeError("Unsupported type <class 'numpy.ndarray'>")
        result = getattr(ufunc, method)(*_inside(inputs), **_inside(kwargs))
        return GPUArray(result)

    def __getitem__(self, index: Any) -> GPUArray:
        return GPUArray(self._data[index])

    def __setitem__(self, index: Any, value: Any) -> None:
        self._data[index] = _inside(value)

    def __bool__(self) -> bool:
        return bool(self._data)

    def __float__(self) -> float:
        return float(self._data)

    def __len__(self) -> int:
        return len(self._data)


def zeros(shape: Any, dtype: Any = float) -> GPUArray:
    """What the library of these arrays has beside them."""
    return GPUArray(np.zeros(shape, dtype))


float64 = np.float64


def _inside(value: Any) -> Any:
    if isinstance(value, GPUArray):
        return value._data
    if isinstance(value, tuple | list):
        return type(value)(map(_inside, value))
    if isinstance(value, dict):
        return {key: _inside(part) for key, part in value.items()}
    return value


def on_strict(array: Any) -> Any:
    """On a device of the array API's strict implementation."""
    return strict.asarray(np.array(array), device=DEVICE)


def on_gpu(array: Any) -> GPUArray:
    return GPUArray(np.array(array))


#: from NumPy's to another library's arrays
LIBRARIES = {"strict": on_strict, "cupy": on_gpu}


def is_there(array: Any, library: str) -> bool:
    """Whether an array is the library's, and where it should be."""
    if library == "cupy":
        return isinstance(array, GPUArray)
    return isinstance(array, type(strict.zeros(1))) and array.device == DEVICE


def fetched(array: Any) -> np.ndarray:
    """A NumPy array of any library's."""
    if isinstance(array, GPUArray):
        return array.get()
    if isinstance(array, type(strict.zeros(1))):
        array = array.to_device(strict.Device("CPU_DEVICE"))
    return np.asarray(array)


def tanh(array: Any) -> Any:
    """As the array's own library has it; nothing but such arrays will do."""
    if isinstance(array, GPUArray):
        return np.tanh(array)
    return array.__array_namespace__().tanh(array)


def lazy(library: str, array: np.ndarray, chunks: Any = (3, 2)) -> da.Array:
    """A dask array with blocks of a library; dask itself knows NumPy's dtypes alone."""
    # `array[:0]` may not be on the device, and dask does not look at it.
    return da.from_array(array, chunks=chunks).map_blocks(LIBRARIES[library], meta=array[:0])


def blocks_of(array: da.Array) -> dict[tuple[int, ...], Any]:
    """The blocks of a dask array as they are on the workers, by their place."""
    places = list(np.ndindex(array.numblocks))
    computed = dask.compute(*(dask.delayed(array.blocks[place]) for place in places))
    return dict(zip(places, computed, strict=True))
