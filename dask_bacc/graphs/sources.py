"""Checking arrays before they are encoded, and cutting them into blocks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from operator import index
from typing import Any

import dask.array as da
import numpy as np
from dask.array import Array
from dask.typing import Key
from numpy.lib.array_utils import normalize_axis_index

from dask_bacc.coding._typing import AnyArray
from dask_bacc.coding.arrays import exceeds_double, library, numpy_dtype
from dask_bacc.coding.gaps import filled
from dask_bacc.coding.linear import inexact_dtype, mixed_dtype, too_large
from dask_bacc.engine.tasks import optimised
from dask_bacc.graphs.advice import instead_of


@dataclass(frozen=True)
class Source:
    """An array to encode, along one of its axes."""

    #: dask or NumPy array
    array: Any
    #: non-negative axis along which it is cut
    axis: int

    @property
    def length(self) -> int:
        """Number of elements along the axis."""
        return int(self.array.shape[self.axis])

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Dtype of the chunks that are combined from blocks."""
        return mixed_dtype(_dtype(self.array))

    @property
    def own_dtype(self) -> np.dtype[np.generic]:
        """Dtype of the chunks that are blocks as they stand."""
        return inexact_dtype(_dtype(self.array))

    @property
    def integers(self) -> bool:
        """Whether it is of integers or booleans, whose blocks arrive as float64."""
        return _dtype(self.array).kind in "iub"

    @property
    def library(self) -> str:
        """Library of the coded chunks."""
        return library(_like_chunks(self.array))

    @property
    def cast(self) -> bool:
        """Whether blocks have another dtype than the chunks that are blocks as they stand."""
        return self.own_dtype != _dtype(self.array)

    def block_shape(self, k: int) -> tuple[int, ...]:
        """Shape of one of `k` blocks."""
        shape = self.array.shape
        return (*shape[: self.axis], self.length // k, *shape[self.axis + 1 :])


def not_finite(source: Source, k: int) -> list[int]:
    """Those of `k` blocks of a NumPy array that have NaN or infinity.

    Examples
    --------
    >>> not_finite(Source(np.array([0.0, 1.0, np.nan, 3.0]), 0), 2)
    [1]
    """
    array = source.array
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fc":
        return []
    blocks = np.split(array, k, axis=source.axis)
    return [number for number, block in enumerate(blocks) if not np.isfinite(block).all()]


def filled_source(source: Source, k: int) -> Source:
    """The source with the mean of each of its `k` blocks, or of each dask chunk, in place of NaN.

    Raises
    ------
    ValueError
        If it is not of NumPy's arrays.
    """
    array = source.array
    if source.library != "numpy":
        raise ValueError(
            f"nan='fill' is for arrays of NumPy, got one of {source.library}; fill it first"
        )
    if isinstance(array, Array):
        # Nothing is called where nothing can be NaN.
        return source if source.integers else Source(da.map_blocks(filled, array), source.axis)
    blocks = [filled(block) for block in np.split(array, k, axis=source.axis)]
    return Source(np.concatenate(blocks, source.axis), source.axis)


def check_source(array: Any, axis: int, position: int) -> Source:
    """Refuse what cannot be encoded, before anything is submitted.

    Parameters
    ----------
    array : dask or NumPy array
    axis : int
    position : int
        Of the array among the arguments, for messages.

    Raises
    ------
    TypeError
        For anything but dask and NumPy arrays, masked arrays and dtypes that are not numbers.
    ValueError
        For scalars, an axis the array has not, empty arrays, unknown chunk sizes and NumPy's
        integers beyond 2**53.
    OverflowError
        For NumPy arrays with numbers beyond double precision's range.
    """
    what = f"array {position}"
    if not isinstance(array, Array | np.ndarray):
        raise TypeError(f"{what} is of type {type(array).__name__}; {instead_of(array)}")
    meta = _like_chunks(array)
    if isinstance(meta, np.ma.MaskedArray):
        raise TypeError(
            f"{what} is masked, and masked values cannot be combined linearly; fill them first, "
            "with numpy.ma.filled or dask.array.ma.filled"
        )
    if not _can_combine(meta):
        raise TypeError(
            f"{what} has chunks of type {type(meta).__module__}.{type(meta).__name__}, which "
            "cannot be encoded: they follow neither the array API standard nor NumPy's "
            "__array_function__; convert them with map_blocks"
        )
    try:
        inexact_dtype(_dtype(array))
    except TypeError as error:
        raise TypeError(f"{what}: {error}") from None
    if array.ndim == 0:
        raise ValueError(f"{what} has no axis to cut into blocks")
    try:
        axis = normalize_axis_index(index(axis), array.ndim)
    except np.exceptions.AxisError:
        raise ValueError(f"{what} has {array.ndim} dimensions, so no axis {axis}") from None
    if any(math.isnan(size) for size in array.shape):
        raise ValueError(
            f"{what} has chunks of unknown size; call its compute_chunk_sizes() first"
        )
    if 0 in array.shape:
        raise ValueError(f"{what} is empty: its shape is {array.shape}")
    if isinstance(array, np.ndarray) and (problem := too_large(array)) is not None:
        raise ValueError(f"{what} {problem}")
    if isinstance(array, np.ndarray) and exceeds_double(array):
        raise OverflowError(
            f"{what} has {array.dtype} numbers beyond double precision's range, in which inner "
            "products are computed; scale it down, or convert it to float64"
        )
    return Source(array, axis)


def number_of_blocks(sources: Sequence[Source], k: int | None) -> int:
    """The given number of blocks if it fits, else that of the chunks along the axis.

    Raises
    ------
    TypeError
        If `k` is not an integer.
    ValueError
        If blocks would not be equal (the message names the nearest `k` that fits), if arrays have
        different numbers of chunks, or if `k` is needed and missing.
    """
    lengths = [source.length for source in sources]
    if k is None:
        counts = {
            source.array.numblocks[source.axis]
            for source in sources
            if isinstance(source.array, Array)
        }
        if not counts:
            raise ValueError(
                f"k is needed: NumPy arrays have no chunks; k must divide {_joined(lengths)}"
            )
        if len(counts) > 1:
            raise ValueError(
                "arrays that are encoded together must have as many blocks: they have "
                f"{_joined(source.array.numblocks[source.axis] for source in sources)} chunks "
                "along the axis; rechunk them or give k"
            )
        (k,) = counts
    k = index(k)
    if k < 1:
        raise ValueError(f"k, the number of blocks, must be at least 1, got {k}")
    common = math.gcd(*lengths)
    if common % k:
        small = [d for d in range(1, math.isqrt(common) + 1) if common % d == 0]
        divisors = {*small, *(common // d for d in small)}
        fits = min(divisors, key=lambda d: (abs(d - k), -d))
        raise ValueError(
            f"k={k} does not cut length {_joined(lengths)} into equal blocks; the nearest k that "
            f"fits is {fits}"
        )
    return k


def numpy_blocks(source: Source, k: int) -> list[AnyArray]:
    """Views of the blocks of a NumPy array."""
    return list(np.split(np.asarray(source.array), k, axis=source.axis))


def dask_blocks(source: Source, k: int) -> tuple[dict[Key, Any], list[Key]]:
    """The optimised graph of a dask array cut into blocks, and the blocks' keys in order.

    Chunks along other axes are merged. Nothing of the graph's own keys is changed, so blocks that
    are already on the cluster stay there, for as long as the graph is kept. Rechunking is made of
    plain tasks: a peer-to-peer one needs all workers, and cannot be made once more beside itself.
    """
    array = source.array
    chunks = tuple(
        (size // k,) * k if axis == source.axis else (size,)
        for axis, size in enumerate(array.shape)
    )
    if array.chunks != chunks:
        array = array.rechunk(chunks, method="tasks")
    return optimised(array)


def _dtype(array: Any) -> np.dtype[np.generic]:
    # Those of dask arrays are not always NumPy's.
    return numpy_dtype(_like_chunks(array))


def _like_chunks(array: Any) -> Any:
    """Dask's empty_meta of an array's chunks, or the array itself if it is NumPy's."""
    return getattr(array, "_meta", array)


def _can_combine(meta: Any) -> bool:
    """Whether chunks of this kind can be added, multiplied by numbers and put together."""
    return hasattr(meta, "__array_namespace__") or hasattr(meta, "__array_function__")


def _joined(values: Any) -> str:
    return " and ".join(str(value) for value in values)
