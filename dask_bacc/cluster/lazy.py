"""Answers as dask arrays, decoded on the cluster from the results that workers hold."""

from __future__ import annotations

import contextlib
import importlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import dask.array as da
import numpy as np
from dask.delayed import delayed
from dask.highlevelgraph import HighLevelGraph
from dask.task_spec import Task, TaskRef
from dask.typing import Key
from distributed import Future

from dask_bacc.cluster.combine import check_finite, concat_axis, reducing_row
from dask_bacc.cluster.solver import Solved
from dask_bacc.cluster.structure import Outline, flatten, rebuild
from dask_bacc.cluster.task import ChunkResult
from dask_bacc.coding._typing import AnyArray, FloatArray
from dask_bacc.coding.arrays import astype, is_foreign, library, numpy_dtype
from dask_bacc.coding.linear import combined_rows, inexact_dtype

#: Arrays that one task adds up when partial sums of workers come together.
FAN_IN = 4


def lazy_answer(
    name: str,
    solved: Solved,
    outlines: Mapping[int, Outline],
    futures: Mapping[int, Future[Any]],
    workers: Mapping[int, str | None],
    combine: str,
    axis: int,
) -> Any:
    """Dask arrays of the answer in the containers of the results.

    Parameters
    ----------
    name : str
        Of the run; keys begin with it.
    solved : Solved
        How the results decode; no block is lost.
    outlines : mapping of int to Outline
    futures : mapping of int to Future
        The results, on the cluster.
    workers : mapping of int to str or None
        Where each result is, as far as is known; results of one worker are added up there.
    combine, axis
        As in `combine_results`.

    Raises
    ------
    ValueError
        If results have no such axis to concatenate along.
    """
    outline = outlines[solved.chunks[0]]
    answers = []
    for leaf, matrix in enumerate(solved.matrices):
        dtypes = [outlines[chunk].dtypes[leaf] for chunk in solved.chunks]
        dtype = inexact_dtype(np.result_type(*dtypes))
        results = [futures[chunk] for chunk in solved.chunks]
        shape = outline.shapes[leaf]
        meta = _specimen(outline.libraries[leaf], dtype, len(shape) + (combine == "stack"))
        build = _Leaf(f"{name}-{combine}-{leaf}", leaf, dtype, meta, results)
        if combine in ("sum", "mean"):
            places = [workers.get(chunk) for chunk in solved.chunks]
            row = reducing_row(matrix.weights, combine)
            answers.append(build.reduced(row, shape, places))
        else:
            place = None if combine == "stack" else concat_axis(shape, axis)
            answers.append(build.blocks(matrix.weights, shape, place))
    return rebuild(outline.skeleton, answers)


def lazy_copy(answer: Any, k: int, combine: str, axis: int) -> Any:
    """Dask arrays of an answer that is here, with the chunks that `lazy_answer` would give."""
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
    meta = _specimen(library(array), numpy_dtype(array), array.ndim)
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


def _specimen(name: str, dtype: np.dtype[np.generic], ndim: int) -> Any:
    """An empty array by which dask knows what the blocks are, NumPy's if it cannot be another."""
    with contextlib.suppress(Exception):  # here may be neither the library nor its device
        xp = importlib.import_module(name)
        meta = xp.zeros((0,) * ndim, dtype=getattr(xp, dtype.name))
        # Of dtypes, dask knows NumPy's alone.
        if isinstance(meta.dtype, np.dtype):
            return meta
    return np.zeros((0,) * ndim, dtype)


class _Leaf:
    """Builds the dask array of one leaf of the results."""

    def __init__(
        self,
        name: str,
        leaf: int,
        dtype: np.dtype[np.generic],
        meta: Any,
        results: Sequence[Future[Any]],
    ) -> None:
        self._name = name
        self._leaf = leaf
        self._dtype = dtype
        self._meta = meta
        self._results = results
        self._graph: dict[Key, Any] = {}

    def blocks(self, weights: FloatArray, shape: tuple[int, ...], axis: int | None) -> da.Array:
        """The blocks' answers along an axis, or on a new first one."""
        k = len(weights)
        sizes: list[tuple[int, ...]] = [(size,) for size in shape]
        if axis is None:
            sizes.insert(0, (1,) * k)
        else:
            sizes[axis] = (shape[axis],) * k
        place = axis or 0
        for block, row in enumerate(weights):
            index = [0] * len(sizes)
            index[place] = block
            key: Key = (self._name, *index)
            used = np.flatnonzero(row)
            self._graph[key] = self._sum(key, used, row[used], new_axis=axis is None)
        return self._array(tuple(sizes))

    def reduced(
        self, row: FloatArray, shape: tuple[int, ...], workers: Sequence[str | None]
    ) -> da.Array:
        """The weighted sum of all results, added up on each worker before anything moves."""
        places = defaultdict[Any, list[int]](list)
        for position in np.flatnonzero(row).tolist():
            places[workers[position] or position].append(position)
        level: list[Key] = []
        for number, used in enumerate(places.values()):
            key: Key = (f"{self._name}-worker", number)
            self._graph[key] = self._sum(key, np.array(used), row[used])
            level.append(key)
        depth = 0
        while len(level) > FAN_IN:
            above: list[Key] = []
            for start in range(0, len(level), FAN_IN):
                key = (f"{self._name}-tree", depth, start)
                self._graph[key] = _total(key, level[start : start + FAN_IN])
                above.append(key)
            level, depth = above, depth + 1
        top: Key = (self._name, *(0 for _ in shape))
        # Of nothing but zeros, it is still an array of the results' kind.
        self._graph[top] = _total(top, level) if level else self._sum(top, [0], row[:1])
        return self._array(tuple((size,) for size in shape))

    def _sum(self, key: Key, used: Any, row: FloatArray, *, new_axis: bool = False) -> Task:
        # No task takes leaves out of results: it would need a thread of the results' worker.
        refs = [TaskRef(self._results[i].key) for i in used]
        return Task(key, _weighted_sum, row, self._leaf, self._dtype, new_axis, *refs)

    def _array(self, chunks: tuple[tuple[int, ...], ...]) -> da.Array:
        results = {future.key: future for future in self._results}
        graph = HighLevelGraph.from_collections(
            self._name, {**results, **self._graph}, dependencies=()
        )
        return da.Array(graph, self._name, chunks, meta=self._meta)


def _weighted_sum(
    row: FloatArray,
    leaf: int,
    dtype: np.dtype[np.generic],
    new_axis: bool,
    *results: ChunkResult,
) -> AnyArray:
    """The weighted sum of a leaf of results; a unit row copies nothing."""
    arrays = [astype(_leaf_of(brought, leaf), dtype) for brought in results]
    total: AnyArray = arrays[0]
    if len(arrays) > 1 or row[0] != 1:
        with np.errstate(over="ignore"):  # checked below, with a clearer word
            (total,) = combined_rows(row[None], arrays)
        check_finite(total)
    return total[None, ...] if new_axis else total


def _leaf_of(brought: ChunkResult, leaf: int) -> AnyArray:
    assert brought.result is not None  # only what is sent ahead of it goes without
    return brought.result.leaves[leaf]


def _total(key: Key, level: Sequence[Key]) -> Task:
    return Task(key, _add, *(TaskRef(part) for part in level))


def _add(*arrays: AnyArray) -> AnyArray:
    total = arrays[0]
    with np.errstate(over="ignore"):
        for array in arrays[1:]:
            total = total + array
    check_finite(total)
    return total
