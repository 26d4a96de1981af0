"""The graph of a run whose chunks are tasks of another graph, each as it stands."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dask.typing import Key

from dask_bacc.engine.tasks import GraphNode, Task, TaskRef
from dask_bacc.graphs.map import RunGraph, target
from dask_bacc.worker.task import Accepts, run_chunk


@dataclass(frozen=True, eq=False)
class Held:
    """A task that is data: dask does not look into it, and runs it when it is told to."""

    node: GraphNode
    #: keys of what it is made of
    keys: tuple[Key, ...]


def run_held(*values: Any, held: Held) -> Any:
    """What a task gives, with these values of its keys."""
    return held.node(dict(zip(held.keys, values, strict=True)))


def nodes_graph(
    graph: Mapping[Key, Any],
    keys: Sequence[Key],
    name: str,
    *,
    topic: str,
    limit: float,
    accepts: Sequence[Accepts],
    **_: Any,
) -> RunGraph:
    """The graph of a run with a chunk for each of some keys of a graph of tasks.

    Parameters
    ----------
    graph : mapping
        Its nodes are tasks, data and futures.
    keys : sequence of keys
        Whose values the chunks give.
    name : str
        Of the run, for people.
    topic, limit, accepts
        As in `run_graph`; nothing is sketched.
    """
    run = f"bacc-{name}-{uuid.uuid4().hex}"
    made: dict[Key, Any] = dict(graph)
    for i, key in enumerate(keys):
        key = target(graph, key)
        node = graph.get(key)
        said = (run, i, 0, topic, None, None, limit, accepts[i])
        if isinstance(node, Task):
            needed = tuple(sorted(node.dependencies, key=str))
            refs = [TaskRef(target(graph, source)) for source in needed]
            given: dict[str, Any] = {"held": Held(node, needed)}
            made[run, i] = Task((run, i), run_chunk, *said, run_held, (), given, *refs)
        else:
            made[run, i] = Task((run, i), run_chunk, *said, _itself, (), {}, TaskRef(key))
    return RunGraph(run, tuple(range(len(keys))), made).part(range(len(keys)))


def _itself(value: Any) -> Any:
    return value
