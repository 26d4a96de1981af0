"""Answers as dask arrays, decoded on the cluster from the results that workers hold."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import dask.array as da
import numpy as np
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph
from dask.typing import Key
from distributed import Future

from dask_bacc.coding._typing import FloatArray, IndexArray
from dask_bacc.engine.tasks import DataNode, Task, TaskRef
from dask_bacc.graphs.cost import Work
from dask_bacc.graphs.local import empty_meta
from dask_bacc.graphs.products import plan_slices, together
from dask_bacc.results.combine import member_dtypes, narrowed, reducing_row
from dask_bacc.results.joining import Joining
from dask_bacc.results.pytree import unflatten
from dask_bacc.results.result import FlatResult, Leaf, ResultSpec
from dask_bacc.results.solved import Solved
from dask_bacc.worker.brought import ChunkResult
from dask_bacc.worker.sums import added, leaf_slice, weighted_sum, weighted_sums

#: Arrays that one task adds up when partial sums of workers come together.
FAN_IN = 4


class Held(NamedTuple):
    """A result on the cluster, or one that is sent there."""

    #: a future, or a task that holds the result
    node: Future[Any] | DataNode
    #: where it is, as far as is known
    worker: str | None = None

    @property
    def key(self) -> Key:
        """Of the result in graphs."""
        key: Key = self.node.key
        return key


def held_here(name: str, spec: ResultSpec, result: FlatResult) -> Held:
    """A result that is here, to be sent along."""
    return Held(DataNode(name, ChunkResult(spec, None, result)))


def lazy_answer(
    name: str,
    solved: Solved,
    specs: Mapping[int, ResultSpec],
    results: Sequence[Held],
    joining: Joining,
) -> Any:
    """Dask arrays of the answer in the containers of the results.

    Parameters
    ----------
    name : str
        Of the run; keys begin with it.
    solved : Solved
        How the results decode; no block is lost.
    specs : mapping of int to ResultSpec
    results : sequence of Held
        Those that have weights, in their order; results of one worker are added up there.
    joining : Joining

    Raises
    ------
    ValueError
        If results have no such axis to concatenate along.
    """
    layout = specs[solved.chunks[0]].layout
    kinds = [specs[chunk].dtypes for chunk in solved.chunks]
    kinds += [past.spec.dtypes for past in solved.earlier]
    finite = all(specs[chunk].finite for chunk in solved.chunks)
    answers: dict[int, da.Array] = {}
    for number, (leaf, matrix) in enumerate(zip(layout.leaves, solved.matrices, strict=True)):
        dtypes = member_dtypes(matrix.weights, leaf.members, kinds)
        dtype = np.result_type(*set(dtypes))
        axis = joining.axis_of(leaf.shape, leaf.dims)
        shape = _shape(leaf)
        meta = empty_meta(leaf.library, dtype, len(shape) + (joining.combine == "stack"))
        single = len(solved.matrices) == 1
        prefix = f"{name}-{joining.combine}-{number}"
        build = _Leaf(prefix, number, dtype, meta, results, single=single, finite=finite)
        if joining.reduces:
            whole = build.reduced(reducing_row(matrix.weights, joining.combine), shape)
        else:
            place = None if axis is None else axis + len(shape) - len(leaf.shape)
            whole = build.blocks(matrix.weights, shape, place)
        stacked = joining.combine == "stack"
        members = _members(whole, leaf, dtypes, stacked=stacked, finite=finite)
        answers |= zip(leaf.members, members, strict=True)
    return unflatten(layout.treedef, [answers[member] for member in range(len(answers))])


def _shape(leaf: Leaf) -> tuple[int, ...]:
    """Shape of what is decoded: of a member that is alone, the member's own."""
    return leaf.shape if len(leaf.members) == 1 else (len(leaf.members), *leaf.shape)


def _members(
    whole: da.Array,
    leaf: Leaf,
    dtypes: Sequence[np.dtype[np.generic]],
    *,
    stacked: bool,
    finite: bool,
) -> list[da.Array]:
    """The answers of a leaf's members, of which blocks may be stacked on the first axis."""
    if len(leaf.members) == 1:
        return [whole]
    members = []
    for place, dtype in enumerate(dtypes):
        member = whole[:, place] if stacked else whole[place]
        if member.dtype != dtype:
            real = member.dtype.kind == "c" and dtype.kind != "c"
            member = (member.real if real else member).map_blocks(
                narrowed, dtype, finite=finite, dtype=dtype
            )
        members.append(member)
    return members


class _Leaf:
    """Builds the dask array of one leaf of the results."""

    def __init__(
        self,
        name: str,
        leaf: int,
        dtype: np.dtype[np.generic],
        meta: Any,
        results: Sequence[Held],
        *,
        single: bool,
        finite: bool,
    ) -> None:
        self._name = name
        self._leaf = leaf
        self._dtype = dtype
        self._meta = meta
        self._results = results
        #: whether results have no other leaves
        self._single = single
        #: whether results are finite, so that the answer has to be
        self._finite = finite
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
        index = [0] * len(sizes)
        keys: list[Key] = []
        for index[place] in range(k):
            keys.append((self._name, *index))
        groups = _alike(weights)
        mixed = sum(len(used) > 1 for used, _ in groups)
        nbytes = math.prod(shape) * self._dtype.itemsize
        for group, (used, members) in enumerate(groups):
            slices = 0
            if len(used) > 1:
                work = Work(len(used), [len(used)] * len(members), nbytes, mixed)
                slices = plan_slices(work, shape, len(used))
            sources = self._sources(used.tolist())
            if slices == 0:
                for block in members:
                    self._graph[keys[block]] = self._sum(
                        keys[block], sources, weights[block, used], new_axis=axis is None
                    )
                continue
            tasks = together(
                tokenize(self._name),
                group,
                weights[members][:, used],
                sources,
                [keys[block] for block in members],
                shape,
                slices,
                cut=partial(leaf_slice, self._leaf),
                combine=partial(
                    weighted_sums, self._leaf, self._dtype, axis is None, self._finite
                ),
                new_axis=axis is None,
            )
            self._graph |= {task.key: task for task in tasks}
        return self._array(tuple(sizes))

    def reduced(self, row: FloatArray, shape: tuple[int, ...]) -> da.Array:
        """The weighted sum of all results, added up on each worker before anything moves."""
        places = defaultdict[Any, list[int]](list)
        for position in np.flatnonzero(row).tolist():
            places[self._results[position].worker or position].append(position)
        level: list[Key] = []
        for number, used in enumerate(places.values()):
            key: Key = (f"{self._name}-worker", number)
            sources = [self._results[i].key for i in used]
            self._graph[key] = self._sum(key, sources, row[used])
            level.append(key)
        depth = 0
        while len(level) > FAN_IN:
            above: list[Key] = []
            for start in range(0, len(level), FAN_IN):
                key = (f"{self._name}-tree", depth, start)
                self._graph[key] = self._total(key, level[start : start + FAN_IN])
                above.append(key)
            level, depth = above, depth + 1
        top: Key = (self._name, *(0 for _ in shape))
        # Of nothing but zeros, it is still an array of the results' kind.
        self._graph[top] = (
            self._total(top, level) if level else self._sum(top, self._sources([0]), row[:1])
        )
        return self._array(tuple((size,) for size in shape))

    def _sources(self, used: Sequence[int]) -> list[Key]:
        """Keys of what is combined: results, or the leaf alone where others would travel along."""
        results: list[Key] = [self._results[i].key for i in used]
        # A task that takes out leaves needs a thread of the results' worker; it must be worth it.
        if self._single or len(used) == 1:
            return results
        leaves: list[Key] = []
        for i, result in zip(used, results, strict=True):
            key = (f"rechunk-split-{tokenize(self._name)}", "leaf", i)
            self._graph[key] = Task(key, leaf_slice, self._leaf, TaskRef(result), ())
            leaves.append(key)
        return leaves

    def _sum(
        self, key: Key, sources: Sequence[Key], row: FloatArray, *, new_axis: bool = False
    ) -> Task:
        refs = map(TaskRef, sources)
        how = self._leaf, self._dtype, new_axis, self._finite
        return Task(key, weighted_sum, row, *how, *refs)

    def _total(self, key: Key, level: Sequence[Key]) -> Task:
        return Task(key, added, self._finite, *(TaskRef(part) for part in level))

    def _array(self, chunks: tuple[tuple[int, ...], ...]) -> da.Array:
        results = {held.key: held.node for held in self._results}
        graph = HighLevelGraph.from_collections(
            self._name, {**results, **self._graph}, dependencies=()
        )
        return da.Array(graph, self._name, chunks, meta=self._meta)


def _alike(weights: FloatArray) -> list[tuple[IndexArray, list[int]]]:
    """The rows by the columns that they use, which come first."""
    found: dict[bytes, list[int]] = {}
    for block, row in enumerate(weights):
        found.setdefault(np.flatnonzero(row).tobytes(), []).append(block)
    return [(np.frombuffer(used, dtype=np.intp), blocks) for used, blocks in found.items()]
