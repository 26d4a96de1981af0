"""Graphs that make combined chunks on the cluster and move little data for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import getitem
from typing import Any

import dask
import numpy as np
from dask.task_spec import Task, TaskRef
from dask.typing import Key
from dask.utils import parse_bytes

from dask_bacc.cluster.movement import Work, choose_slices
from dask_bacc.coding import Code
from dask_bacc.coding._typing import AnyArray, FloatArray
from dask_bacc.coding.arrays import namespace
from dask_bacc.coding.linear import combined_rows

#: The scheduler sends tasks to their data only if what they depend on has at least this many
#: tasks; else it takes them for the roots of a graph and spreads them.
FEWEST_BLOCKS = 5


@dataclass(frozen=True)
class Maker:
    """Writes the tasks that make the combined chunks of one array.

    Parameters
    ----------
    token : str
        Of array and code.
    keys : sequence of keys
        Of the blocks.
    shape : tuple of int
        Of a block.
    nbytes : int
        Of a chunk.
    """

    token: str
    keys: Sequence[Key]
    shape: tuple[int, ...]
    nbytes: int

    @property
    def name(self) -> str:
        """Chunk ``i`` has the key ``(name, i)``."""
        return f"coded-{self.token}"

    def tasks(self, code: Code, chunks: Sequence[int]) -> Iterator[Task]:
        """Tasks for these chunks of a code, which are not made by copying alone.

        Where chunks are made together, each has a task of its own besides, under another key,
        which costs nothing unless it is asked for.
        """
        wanted = set(chunks)
        parts = [sorted(wanted & set(range(code.n)[part.chunks])) for part in code.groups]
        memory = parse_bytes(dask.config.get("bacc.encode.memory"))
        bandwidth = parse_bytes(dask.config.get("distributed.scheduler.bandwidth"))
        most = max(self.shape)
        for number, members in enumerate(parts):
            if not members:
                continue
            rows = [code.row(chunk) for chunk in members]
            columns = np.unique(np.concatenate([blocks for blocks, _ in rows]))
            work = Work(
                len(columns), [len(blocks) for blocks, _ in rows], self.nbytes, len(code.groups)
            )
            slices = choose_slices(
                work,
                most=most if len(self.keys) >= FEWEST_BLOCKS else 1,
                memory=memory,
                bandwidth=bandwidth,
            )
            if slices == 0:
                yield from (self._direct((self.name, chunk), chunk, code) for chunk in members)
                continue
            for chunk in members:
                yield self._direct(alone_key(self.name, chunk), chunk, code)
            matrix = np.zeros((len(members), len(columns)))
            for row, (blocks, coefficients) in zip(matrix, rows, strict=True):
                row[np.searchsorted(columns, blocks)] = coefficients
            sources = [self.keys[j] for j in columns.tolist()]
            yield from self._together(number, members, matrix, sources, slices)

    def _direct(self, key: Key, chunk: int, code: Code) -> Task:
        blocks, coefficients = code.row(chunk)
        sources = (TaskRef(self.keys[j]) for j in blocks)
        return Task(key, weighted_sum, coefficients, *sources)

    def _together(
        self, group: int, chunks: list[int], matrix: FloatArray, sources: list[Key], slices: int
    ) -> Iterator[Task]:
        gathered = f"gathered-{self.token}"
        if slices == 1:
            whole = (gathered, group)
            yield Task(whole, _combine, matrix, *map(TaskRef, sources))
            for i, chunk in enumerate(chunks):
                yield Task((self.name, chunk), getitem, TaskRef(whole), i)
            return
        # The scheduler knows this prefix for tasks of no duration, never worth moving.
        cut = f"rechunk-split-{self.token}"
        axis = _axis_to_cut(self.shape, slices)
        pieces = _even_slices(self.shape[axis], slices)
        for t, piece in enumerate(pieces):
            # Views: only what travels is copied.
            index = (*(slice(None),) * axis, piece, ...)
            for j, source in enumerate(sources):
                yield Task((cut, "block", group, j, t), getitem, TaskRef(source), index)
            refs = (TaskRef((cut, "block", group, j, t)) for j in range(len(sources)))
            yield Task((gathered, group, t), _combine, matrix, *refs)
            for i in range(len(chunks)):
                yield Task((cut, "chunk", group, i, t), getitem, TaskRef((gathered, group, t)), i)
        for i, chunk in enumerate(chunks):
            refs = (TaskRef((cut, "chunk", group, i, t)) for t in range(len(pieces)))
            yield Task((self.name, chunk), _join, axis, *refs)


def alone_key(name: str, chunk: int) -> Key:
    """The key under which the graph has a task for this chunk alone, if it has one.

    Chunks that are made together are made together even if only one of them is wanted.
    """
    return (f"alone-{name}", chunk)


def weighted_sum(coefficients: FloatArray, *blocks: AnyArray) -> AnyArray:
    """One coded chunk, ``sum_j coefficients[j] blocks[j]``; a new array.

    Examples
    --------
    >>> weighted_sum(np.array([0.5, 0.5]), np.array([1, 2]), np.array([3, 2]))
    array([2., 2.])
    """
    chunk: AnyArray = combined_rows(coefficients[None, :], blocks)[0]
    return chunk


def _combine(matrix: FloatArray, *blocks: Any) -> list[Any]:
    return combined_rows(matrix, blocks)


def _join(axis: int, *parts: Any) -> Any:
    return namespace(parts[0]).concat(parts, axis=axis)


def _axis_to_cut(shape: Sequence[int], slices: int) -> int:
    """The first axis that is long enough, so that slices are contiguous where they can be."""
    long = [axis for axis, size in enumerate(shape) if size >= slices]
    return long[0] if long else int(np.argmax(shape))


def _even_slices(length: int, count: int) -> list[slice]:
    edges = [length * i // count for i in range(count + 1)]
    return [slice(*edges[i : i + 2]) for i in range(count)]
