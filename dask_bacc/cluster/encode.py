"""From arrays to coded chunks: on the client for NumPy arrays, on the cluster for dask arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dask
import numpy as np
from dask.array import Array
from dask.base import tokenize
from dask.task_spec import Alias, DataNode, Task, TaskRef
from dask.typing import Key

from dask_bacc.cluster.array import CodedArray, Part
from dask_bacc.cluster.options import Dress
from dask_bacc.cluster.sources import (
    Source,
    check_source,
    dask_blocks,
    number_of_blocks,
    numpy_blocks,
)
from dask_bacc.coding import Code, get_code
from dask_bacc.coding._typing import AnyArray, FloatArray
from dask_bacc.coding.linear import combine_rows, inexact_dtype


def encode_arrays(
    arrays: Sequence[Any],
    axes: Sequence[int],
    *,
    n: int,
    k: int | None,
    code: str | Code | None,
    dress: Dress | None = None,
) -> CodedArray:
    """Encode dask and NumPy arrays, each along its axis; see `dask_bacc.encode`.

    Parameters
    ----------
    arrays, axes : sequences of equal length
    n, k, code
        As in `dask_bacc.encode`.
    dress : callable, optional
        Gives the answer of a run its labels.
    """
    sources = [
        check_source(array, axis, position)
        for position, (array, axis) in enumerate(zip(arrays, axes, strict=True))
    ]
    k = number_of_blocks(sources, k)
    code = get_code(dask.config.get("bacc.code") if code is None else code, k, n)
    graph: dict[Key, Any] = {}
    parts = []
    for source in sources:
        name = f"coded-{tokenize(source.array, source.axis, code)}"
        if isinstance(source.array, Array):
            graph.update(_encode_on_cluster(name, source, code))
        else:
            graph.update(_encode_here(name, source, code))
        parts.append(Part(name, source.block_shape(k), source.dtype, source.axis))
    return CodedArray(graph, tuple(parts), code, dress)


def weighted_sum(coefficients: FloatArray, *blocks: AnyArray) -> AnyArray:
    """One coded chunk, ``sum_j coefficients[j] blocks[j]``; a new array.

    Examples
    --------
    >>> weighted_sum(np.array([0.5, 0.5]), np.array([1, 2]), np.array([3, 2]))
    array([2., 2.])
    """
    chunk = np.empty(blocks[0].shape, dtype=inexact_dtype(blocks[0].dtype))
    combine_rows(coefficients[None, :], blocks, [chunk])
    return chunk


def _encode_on_cluster(name: str, source: Source, code: Code) -> dict[Key, Any]:
    graph, keys = dask_blocks(source, code.k)
    cast = source.dtype != source.array.dtype
    for chunk in range(code.n):
        key = (name, chunk)
        blocks, coefficients = code.row(chunk)
        if code.own_blocks[chunk] >= 0 and not cast:
            graph[key] = Alias(key, keys[blocks[0]])
        else:
            graph[key] = Task(key, weighted_sum, coefficients, *(TaskRef(keys[j]) for j in blocks))
    return graph


def _encode_here(name: str, source: Source, code: Code) -> dict[Key, Any]:
    blocks = numpy_blocks(source, code.k)
    graph: dict[Key, Any] = {}
    for chunk in range(code.n):
        used, coefficients = code.row(chunk)
        # Always a copy: changing the array later must not change some chunks and not others.
        data = weighted_sum(coefficients, *(blocks[j] for j in used))
        graph[name, chunk] = DataNode((name, chunk), data)
    return graph
