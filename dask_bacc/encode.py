"""From arrays to coded chunks: on the client for NumPy arrays, on the cluster for dask arrays."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import dask
from dask.array import Array
from dask.base import tokenize
from dask.task_spec import Alias, DataNode
from dask.typing import Key

from dask_bacc.array import CodedArray, Part
from dask_bacc.coding import Code, get_code
from dask_bacc.coding.arrays import numpy_dtype
from dask_bacc.coding.linear import combined_rows
from dask_bacc.graphs.encode import Maker
from dask_bacc.graphs.sources import (
    Source,
    check_source,
    dask_blocks,
    number_of_blocks,
    numpy_blocks,
)
from dask_bacc.results.labels import Dress
from dask_bacc.runtime.submit import target
from dask_bacc.worker.blocks import Expected


def encode_arrays(
    arrays: Sequence[Any],
    axes: Sequence[int],
    *,
    n: int,
    k: int | None,
    code: str | Code | None,
    dims: Sequence[Hashable | None] | None = None,
    dress: Dress | None = None,
) -> CodedArray:
    """Encode dask and NumPy arrays, each along its axis; see `dask_bacc.encode`.

    Parameters
    ----------
    arrays, axes : sequences of equal length
    n, k, code
        As in `dask_bacc.encode`.
    dims : sequence of hashables, optional
        Names of the axes, if the arrays are labelled.
    dress : callable, optional
        Gives the answer of a run its labels.
    """
    sources = [
        check_source(array, axis, position)
        for position, (array, axis) in enumerate(zip(arrays, axes, strict=True))
    ]
    k = number_of_blocks(sources, k)
    code = get_code(
        dask.config.get("bacc.code") if code is None else code,
        k,
        n,
        group_size=dask.config.get("bacc.group-size"),
    )
    graph: dict[Key, Any] = {}
    parts = []
    named = zip(sources, dims or [None] * len(sources), strict=True)
    for position, (source, dim) in enumerate(named):
        token = tokenize(source.array, source.axis, code)
        name = f"coded-{token}"
        if isinstance(source.array, Array):
            graph.update(_encode_on_cluster(token, source, position, code))
        else:
            graph.update(_encode_here(name, source, code))
        shape = source.block_shape(k)
        integers = numpy_dtype(getattr(source.array, "_meta", source.array)).kind in "iub"
        parts.append(
            Part(
                name,
                shape,
                source.dtype,
                source.own_dtype,
                source.axis,
                source.library,
                dim,
                integers,
            )
        )
    return CodedArray(graph, tuple(parts), code, dress)


def _encode_on_cluster(token: str, source: Source, position: int, code: Code) -> dict[Key, Any]:
    graph, keys = dask_blocks(source, code.k)
    # An alias would need the thread of a block's worker, which its own chunk may have for long.
    keys = [target(graph, key) for key in keys]
    shape = source.block_shape(code.k)
    maker = Maker(token, keys, Expected(position, shape, source.dtype), shape)
    combined = []
    for chunk, own in enumerate(code.own_blocks.tolist()):
        if own < 0:
            combined.append(chunk)
        elif source.cast:
            graph[maker.name, chunk] = maker.cast(chunk, own)
        else:
            graph[maker.name, chunk] = Alias((maker.name, chunk), keys[own])
    graph.update((task.key, task) for task in maker.tasks(code, combined))
    return graph


def _encode_here(name: str, source: Source, code: Code) -> dict[Key, Any]:
    blocks = numpy_blocks(source, code.k)
    graph: dict[Key, Any] = {}
    for chunk in range(code.n):
        used, coefficients = code.row(chunk)
        dtype = source.dtype if code.own_blocks[chunk] < 0 else source.own_dtype
        # Always a copy: changing the array later must not change some chunks and not others.
        (data,) = combined_rows(coefficients[None, :], [blocks[j] for j in used], dtype)
        graph[name, chunk] = DataNode((name, chunk), data)
    return graph
