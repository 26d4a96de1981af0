"""From chunks and a function to the graph of a run."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from dask.sizeof import sizeof
from dask.typing import Key
from dask.utils import funcname

from dask_bacc.engine.tasks import DataNode, Task, TaskRef, converted, unpack_collections
from dask_bacc.graphs.map import RunGraph, target
from dask_bacc.worker.task import Accepts, run_chunk

#: Bytes of arguments above which they are sent once, and not with every chunk.
LARGE = 100_000


@dataclass(frozen=True, eq=False)
class Call:
    """What is run on every chunk: ``func(*blocks, *args, **kwargs)``."""

    func: Callable[..., Any]
    #: futures and dask collections in these are given as their values
    args: Sequence[Any]
    kwargs: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Chunks:
    """Coded chunks of one or several arrays, to be made by a graph."""

    graph: Mapping[Key, Any]
    #: for each chunk, its key in every encoded array
    keys: Sequence[Sequence[Key]]
    #: of a chunk of every encoded array
    shapes: Sequence[tuple[int, ...]]


class GraphOf(Protocol):
    """What makes the graph of a run; see `run_graph`."""

    def __call__(
        self,
        *,
        topic: str,
        sketched: Mapping[int, Sequence[int]],
        limit: float,
        accepts: Sequence[Accepts],
    ) -> RunGraph:
        """The graph."""
        ...


def run_graph(
    chunks: Chunks,
    call: Call,
    *,
    topic: str,
    sketched: Mapping[int, Sequence[int]],
    limit: float,
    accepts: Sequence[Accepts],
) -> RunGraph:
    """The graph that makes the chunks and runs the function on each.

    Parameters
    ----------
    chunks : Chunks
    call : Call
    topic : str
        Under which chunks say that they start and end; see `scheduler.subscribe`.
    sketched : mapping of int to sequence of int
        Chunks that bring sketches of their blocks beside the result, with the axes of those along
        which rows lie.
    limit : float
        Bytes of a result above which it stays where it is until it is wanted.
    accepts : sequence of str
        For every chunk, what it may return; see `run_chunk`.
    """
    # Keys are never used twice: a key that was cancelled comes back cancelled.
    name = f"bacc-{funcname(call.func)}-{uuid.uuid4().hex}"
    graph, positional, named = _arguments(name, call)
    # Data made by the client travels inside its task: it never waits on another worker.
    inside = {
        key: node.value
        for parts in chunks.keys
        for key in parts
        if isinstance(node := chunks.graph.get(key), DataNode)
    }
    graph |= {key: node for key, node in chunks.graph.items() if key not in inside}
    # Collections may still have tuples for tasks.
    graph = converted(graph)
    for i, parts in enumerate(chunks.keys):
        blocks = [
            inside[key] if key in inside else TaskRef(target(chunks.graph, key)) for key in parts
        ]
        said = (name, i, 0, topic, sketched.get(i), chunks.shapes, limit, accepts[i])
        graph[name, i] = Task((name, i), run_chunk, *said, call.func, positional, named, *blocks)
    return RunGraph(name, tuple(range(len(chunks.keys))), graph)


def _arguments(name: str, call: Call) -> tuple[dict[Key, Any], Any, Any]:
    """A graph that has the arguments, and what stands for them in tasks."""
    graph: dict[Key, Any] = {}
    arguments, collections = unpack_collections((tuple(call.args), dict(call.kwargs)))
    for collection in collections:
        graph.update(collection.__dask_graph__())
    if isinstance(arguments, tuple) and sizeof(arguments) > LARGE:
        graph[name, "arguments"] = DataNode((name, "arguments"), arguments)
        arguments = TaskRef((name, "arguments"))
    if isinstance(arguments, tuple):
        return graph, *arguments
    return graph, Task(None, _item, arguments, 0), Task(None, _item, arguments, 1)


def _item(pair: Sequence[Any], position: int) -> Any:
    return pair[position]
