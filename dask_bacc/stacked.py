"""Chunks of a coded array as one array, on a new first axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dask.array as da
from dask.highlevelgraph import HighLevelGraph
from dask.typing import Key

from dask_bacc.coding._typing import AnyArray
from dask_bacc.coding.arrays import namespace, single
from dask_bacc.engine.tasks import Task, TaskRef
from dask_bacc.graphs.local import empty_meta
from dask_bacc.records.part import Part


def stacked(parts: Sequence[Sequence[AnyArray]]) -> AnyArray | tuple[AnyArray, ...]:
    """The chunks of every array that was encoded."""
    arrays = tuple(namespace(chunks[0]).stack(list(map(single, chunks))) for chunks in parts)
    return arrays if len(arrays) > 1 else arrays[0]


def stacked_array(graph: Mapping[Key, Any], part: Part, n: int) -> da.Array:
    """The `n` chunks of one array, as a dask array."""
    name = f"stacked-{part.name}"
    rest = (0,) * len(part.shape)
    more: dict[Key, Any] = {
        (name, i, *rest): Task((name, i, *rest), _new_axis, TaskRef((part.name, i)))
        for i in range(n)
    }
    layers = HighLevelGraph.from_collections(name, {**graph, **more}, dependencies=())
    chunks = ((1,) * n, *((size,) for size in part.shape))
    meta = empty_meta(part.library, part.dtype, len(chunks))
    return da.Array(layers, name, chunks, meta=meta)


def _new_axis(chunk: AnyArray) -> AnyArray:
    array: AnyArray = single(chunk)[None, ...]
    return array
