"""Graphs that multiply a small matrix with arrays that workers hold, each of which moves once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from operator import getitem
from typing import Any

import dask
import numpy as np
from dask.typing import Key
from dask.utils import parse_bytes

from dask_bacc.coding._typing import FloatArray
from dask_bacc.coding.arrays import namespace
from dask_bacc.engine.tasks import Task, TaskRef
from dask_bacc.graphs.cost import Work, choose_slices

#: The scheduler sends tasks to their data only if what they depend on has at least this many
#: tasks; else it takes them for the roots of a graph and spreads them.
FEWEST_SOURCES = 5

Index = tuple[Any, ...]


def plan_slices(work: Work, shape: Sequence[int], sources: int) -> int:
    """How products are to be made, as is configured or as is cheapest; see `choose_slices`.

    Parameters
    ----------
    work : Work
    shape : sequence of int
        Of an array.
    sources : int
        Arrays that the scheduler can choose among, for where to make them.
    """
    given = dask.config.get("bacc.encode.slices")
    if given is not None:
        return int(given)
    return choose_slices(
        work,
        most=max(shape, default=1) if sources >= FEWEST_SOURCES else 1,
        memory=parse_bytes(dask.config.get("bacc.encode.memory")),
        bandwidth=parse_bytes(dask.config.get("distributed.scheduler.bandwidth")),
    )


def together(
    token: str,
    group: Key,
    matrix: FloatArray,
    sources: Sequence[Key],
    targets: Sequence[Key],
    shape: Sequence[int],
    slices: int,
    *,
    cut: Callable[..., Any],
    combine: Callable[..., list[Any]],
    marks: Sequence[tuple[Any, ...]] | None = None,
    new_axis: bool = False,
) -> Iterator[Task]:
    """Tasks that make the products of all rows at once: gathered, or split into slices.

    Parameters
    ----------
    token : str
        A hash, for the keys of what is in between.
    group : Key
        Unlike that of all other matrices with this token.
    matrix : (r, m) ndarray
    sources : sequence of m keys
        Of arrays, or of what the two functions below can make arrays of.
    targets : sequence of r keys
        Of the products.
    shape : sequence of int
        Of an array.
    slices : int
        1 for gathered, more for split.
    cut : callable
        ``cut(source, index, *mark)`` gives a slice of an array.
    combine : callable
        ``combine(matrix, *parts)`` gives the products; parts are sources, or slices of them.
    marks : sequence of m tuples, optional
        Of the sources; empty by default.
    new_axis : bool
        Whether it gives them a new first axis.
    """
    gathered = f"gathered-{token}"
    if slices == 1:
        whole = (gathered, group)
        yield Task(whole, combine, matrix, *map(TaskRef, sources))
        for i, target in enumerate(targets):
            yield Task(target, getitem, TaskRef(whole), i)
        return
    # The scheduler knows this prefix for tasks of no duration, never worth moving.
    parts = f"rechunk-split-{token}"
    axis = _axis_to_cut(shape, slices)
    pieces = _even_slices(shape[axis], slices)
    for t, piece in enumerate(pieces):
        # Views: only what travels is copied.
        index = (*(slice(None),) * axis, piece, ...)
        for j, source in enumerate(sources):
            mark = marks[j] if marks else ()
            yield Task((parts, "block", group, j, t), cut, TaskRef(source), index, *mark)
        refs = (TaskRef((parts, "block", group, j, t)) for j in range(len(sources)))
        yield Task((gathered, group, t), combine, matrix, *refs)
        for i in range(len(targets)):
            yield Task((parts, "chunk", group, i, t), getitem, TaskRef((gathered, group, t)), i)
    for i, target in enumerate(targets):
        refs = (TaskRef((parts, "chunk", group, i, t)) for t in range(len(pieces)))
        yield Task(target, _join, axis + new_axis, *refs)


def _join(axis: int, *parts: Any) -> Any:
    return namespace(parts[0]).concat(parts, axis=axis)


def _axis_to_cut(shape: Sequence[int], slices: int) -> int:
    """The first axis that is long enough, so that slices are contiguous where they can be."""
    long = [axis for axis, size in enumerate(shape) if size >= slices]
    return long[0] if long else int(np.argmax(shape))


def _even_slices(length: int, count: int) -> list[slice]:
    edges = [length * i // count for i in range(count + 1)]
    return [slice(*edges[i : i + 2]) for i in range(count)]
