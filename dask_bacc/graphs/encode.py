"""Graphs that make combined chunks on the cluster and move little data for it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from dask.typing import Key

from dask_bacc.coding import Code
from dask_bacc.coding.linear import combined_rows
from dask_bacc.engine.tasks import Alias, DataNode, Task, TaskRef
from dask_bacc.graphs.cost import Work
from dask_bacc.graphs.map import target
from dask_bacc.graphs.products import plan_slices, together
from dask_bacc.graphs.sources import Source, dask_blocks, numpy_blocks
from dask_bacc.worker.blocks import Expected, slice_of, weighted_sum, weighted_sums


@dataclass(frozen=True)
class Maker:
    """Writes the tasks that make the combined chunks of one array.

    Parameters
    ----------
    token : str
        Of array and code.
    keys : sequence of keys
        Of the blocks.
    expected : Expected
        What blocks are to be.
    shape : tuple of int
        Of a block.
    """

    token: str
    keys: Sequence[Key]
    expected: Expected
    shape: tuple[int, ...]

    @property
    def name(self) -> str:
        """Chunk ``i`` has the key ``(name, i)``."""
        return f"coded-{self.token}"

    @property
    def nbytes(self) -> int:
        """Bytes of a chunk."""
        return math.prod(self.shape) * self.expected.dtype.itemsize

    def cast(self, chunk: int, block: int) -> Task:
        """The task that makes a chunk of a block alone, in the dtype of chunks."""
        source = TaskRef(self.keys[block])
        key = (self.name, chunk)
        return Task(key, weighted_sum, self.expected, [block], np.ones(1), source)

    def tasks(self, code: Code, chunks: Sequence[int]) -> Iterator[Task]:
        """Tasks for these chunks of a code, which are not made by copying alone.

        Where chunks are made together, each has a task of its own besides, under another key,
        which costs nothing unless it is asked for.
        """
        wanted = set(chunks)
        parts = [sorted(wanted & set(range(code.n)[part.chunks])) for part in code.groups]
        for number, members in enumerate(parts):
            if not members:
                continue
            rows = [code.row(chunk) for chunk in members]
            columns = np.unique(np.concatenate([blocks for blocks, _ in rows]))
            work = Work(
                len(columns), [len(blocks) for blocks, _ in rows], self.nbytes, len(code.groups)
            )
            slices = plan_slices(work, self.shape, len(self.keys))
            if slices == 0:
                yield from (self._direct((self.name, chunk), chunk, code) for chunk in members)
                continue
            for chunk in members:
                yield self._direct(alone_key(self.name, chunk), chunk, code)
            matrix = np.zeros((len(members), len(columns)))
            for row, (blocks, coefficients) in zip(matrix, rows, strict=True):
                row[np.searchsorted(columns, blocks)] = coefficients
            sources = [self.keys[j] for j in columns.tolist()]
            targets: list[Key] = [(self.name, chunk) for chunk in members]
            used = columns.tolist()
            # Slices of blocks have shapes of their own, and have been looked at as a whole.
            parts_of = self.expected if slices == 1 else replace(self.expected, shape=None)
            yield from together(
                self.token,
                number,
                matrix,
                sources,
                targets,
                self.shape,
                slices,
                cut=slice_of,
                marks=[(self.expected, j) for j in used],
                combine=partial(weighted_sums, parts_of, used),
            )

    def _direct(self, key: Key, chunk: int, code: Code) -> Task:
        blocks, coefficients = code.row(chunk)
        sources = (TaskRef(self.keys[j]) for j in blocks)
        return Task(key, weighted_sum, self.expected, blocks.tolist(), coefficients, *sources)


def alone_key(name: str, chunk: int) -> Key:
    """The key under which the graph has a task for this chunk alone, if it has one.

    Chunks that are made together are made together even if only one of them is wanted.
    """
    return (f"alone-{name}", chunk)


def key_of(graph: Mapping[Key, Any], part: str, chunk: int, alone: bool) -> Key:
    """The key of a chunk of an encoded array, made alone where that is wanted and can be."""
    # Chunks that are made together are too much to make when only one is wanted.
    key = alone_key(part, chunk)
    return key if alone and key in graph else (part, chunk)


def encode_on_cluster(token: str, source: Source, position: int, code: Code) -> dict[Key, Any]:
    """A graph that makes the coded chunks of a dask array.

    Parameters
    ----------
    token : str
        Of array and code; chunk ``i`` has the key ``(f"coded-{token}", i)``.
    source : Source
    position : int
        Of the array among those that are encoded together, for messages.
    code : Code
    """
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


def encode_here(name: str, source: Source, code: Code) -> dict[Key, Any]:
    """The coded chunks of a NumPy array as a graph of data; chunk ``i`` has the key ``(name, i)``.

    Parameters
    ----------
    name : str
    source : Source
    code : Code
    """
    blocks = numpy_blocks(source, code.k)
    graph: dict[Key, Any] = {}
    for chunk in range(code.n):
        used, coefficients = code.row(chunk)
        dtype = source.dtype if code.own_blocks[chunk] < 0 else source.own_dtype
        # Always a copy: changing the array later must not change some chunks and not others.
        (data,) = combined_rows(coefficients[None, :], [blocks[j] for j in used], dtype)
        graph[name, chunk] = DataNode((name, chunk), data)
    return graph
