"""Answers that are here as dask arrays."""

from __future__ import annotations

import contextlib
import importlib
from typing import Any

import dask.array as da
import numpy as np
from dask.delayed import delayed

from dask_bacc.cluster.structure import flatten, rebuild
from dask_bacc.coding.arrays import is_foreign, library, numpy_dtype


def lazy_copy(answer: Any, k: int, combine: str, axis: int) -> Any:
    """Dask arrays of an answer that is here, chunked as if decoded on the cluster."""
    flat = flatten(answer)
    arrays = []
    for leaf in flat.leaves:
        chunks = list(leaf.shape)
        if combine in ("concat", "stack"):
            place = 0 if combine == "stack" else axis
            chunks[place] //= k
        if is_foreign(leaf):
            arrays.append(_in_pieces(leaf, tuple(chunks)))
        else:
            arrays.append(da.from_array(leaf, chunks=tuple(chunks)))
    return rebuild(flat.skeleton, arrays)


def _in_pieces(array: Any, size: tuple[int, ...]) -> da.Array:
    """A dask array of another library's, of which `da.from_array` may make NumPy's."""
    meta = specimen(library(array), numpy_dtype(array), array.ndim)
    cut = [axis for axis, part in enumerate(size) if part != array.shape[axis]]
    if not cut:
        one: da.Array = da.from_delayed(delayed(array), size, meta=meta)
        return one
    (axis,) = cut
    pieces = []
    for start in range(0, array.shape[axis], size[axis]):
        piece = array[(*(slice(None),) * axis, slice(start, start + size[axis]), ...)]
        pieces.append(da.from_delayed(delayed(piece), size, meta=meta))
    whole: da.Array = da.concatenate(pieces, axis=axis)
    return whole


def specimen(name: str, dtype: np.dtype[np.generic], ndim: int) -> Any:
    """An empty array by which dask knows what the blocks are, NumPy's if it cannot be another."""
    with contextlib.suppress(Exception):  # here may be neither the library nor its device
        xp = importlib.import_module(name)
        meta = xp.zeros((0,) * ndim, dtype=getattr(xp, dtype.name))
        # Of dtypes, dask knows NumPy's alone.
        if isinstance(meta.dtype, np.dtype):
            return meta
    return np.zeros((0,) * ndim, dtype)
