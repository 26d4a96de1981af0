"""Graphs that make combined chunks on the cluster and move little data for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from dask.task_spec import Task, TaskRef
from dask.typing import Key

from dask_bacc.cluster.movement import Work, choose_slices
from dask_bacc.cluster.products import limits, together
from dask_bacc.coding import Code
from dask_bacc.coding._typing import AnyArray, FloatArray
from dask_bacc.coding.linear import combined_rows


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
        within = limits(self.shape, len(self.keys))
        for number, members in enumerate(parts):
            if not members:
                continue
            rows = [code.row(chunk) for chunk in members]
            columns = np.unique(np.concatenate([blocks for blocks, _ in rows]))
            work = Work(
                len(columns), [len(blocks) for blocks, _ in rows], self.nbytes, len(code.groups)
            )
            slices = choose_slices(work, **within)
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
            yield from together(self.token, number, matrix, sources, targets, self.shape, slices)

    def _direct(self, key: Key, chunk: int, code: Code) -> Task:
        blocks, coefficients = code.row(chunk)
        sources = (TaskRef(self.keys[j]) for j in blocks)
        return Task(key, weighted_sum, coefficients, *sources)


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
