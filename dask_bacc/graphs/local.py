"""Answers that are here as dask arrays."""

from __future__ import annotations

import contextlib
import importlib
from typing import Any

import dask.array as da
import numpy as np
from dask.delayed import delayed

from dask_bacc.coding.arrays import as_array, is_foreign, library, numpy_dtype
from dask_bacc.results.joining import Joining
from dask_bacc.results.pytree import flatten, unflatten
from dask_bacc.results.result import Layout


def lazy_copy(answer: Any, k: int, layout: Layout, joining: Joining, name: str) -> Any:
    """Dask arrays of an answer that is here, chunked as if decoded on the cluster.

    Parameters
    ----------
    answer
        In the containers of the results.
    k : int
        Number of blocks.
    layout : Layout
        Of the results.
    joining : Joining
        By which the answer was made.
    name : str
        Of the run. Without names, dask would hash arrays.
    """
    treedef, members = flatten(answer)
    for leaf in layout.leaves:
        axis = 0 if joining.combine == "stack" else joining.axis_of(leaf.shape, leaf.dims)
        for member in leaf.members:
            found = members[member]
            array = as_array(found.data if hasattr(found, "dims") else found)
            chunks = list(array.shape)
            if axis is not None:
                chunks[axis] //= k
            if is_foreign(array):
                members[member] = _in_pieces(array, tuple(chunks))
            else:
                members[member] = da.from_array(
                    array, tuple(chunks), name=f"{name}-answer-{member}"
                )
    return unflatten(treedef, members)


def _in_pieces(array: Any, size: tuple[int, ...]) -> da.Array:
    """A dask array of another library's, of which `da.from_array` may make NumPy's."""
    meta = empty_meta(library(array), numpy_dtype(array), array.ndim)
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


def empty_meta(name: str, dtype: np.dtype[np.generic], ndim: int) -> Any:
    """An empty array by which dask knows what the blocks are, NumPy's if it cannot be another."""
    with contextlib.suppress(Exception):  # here may be neither the library nor its device
        xp = importlib.import_module(name)
        meta = xp.zeros((0,) * ndim, dtype=getattr(xp, dtype.name))
        # Of dtypes, dask knows NumPy's alone.
        if isinstance(meta.dtype, np.dtype):
            return meta
    return np.zeros((0,) * ndim, dtype)
