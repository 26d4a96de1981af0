"""Sending a run to the scheduler: one graph, one task and one future per chunk."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from operator import getitem
from typing import Any

import dask
from dask._task_spec import convert_legacy_graph
from dask.base import annotate, get_annotations
from dask.delayed import unpack_collections
from dask.sizeof import sizeof
from dask.task_spec import Alias, DataNode, Task, TaskRef
from dask.typing import Key
from dask.utils import funcname
from distributed import Client, Future

from dask_bacc.graphs.map import RunGraph
from dask_bacc.worker.blocks import slice_of
from dask_bacc.worker.task import run_chunk

#: Bytes of arguments above which they are sent once, and not with every chunk.
LARGE = 100_000

#: Functions of tasks that copy nothing.
_VIEWS = (getitem, slice_of)

#: dask's configuration is set for all threads at once, so threads submit in turn.
_submitting = threading.Lock()


def run_graph(
    chunks: Mapping[Key, Any],
    keys: Sequence[Sequence[Key]],
    shapes: Sequence[tuple[int, ...]],
    func: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    sketched: Mapping[int, Sequence[int]],
    limit: float,
) -> RunGraph:
    """The graph that makes the chunks and runs the function on each.

    Parameters
    ----------
    chunks : mapping
        Graph of the coded chunks.
    keys : sequence of sequences
        For each chunk, its key in every encoded array.
    shapes : sequence of tuples
        Of a chunk of every encoded array.
    func, args, kwargs
        Called as ``func(*blocks, *args, **kwargs)``; futures and dask collections in `args` and
        `kwargs` are given as their values.
    sketched : mapping of int to sequence of int
        Chunks that bring sketches of their blocks beside the result, with the axes of those along
        which rows lie.
    limit : float
        Bytes of a result above which it stays where it is until it is wanted.
    """
    # Keys are never used twice: a key that was cancelled comes back cancelled.
    name = f"bacc-{funcname(func)}-{uuid.uuid4().hex}"
    graph: dict[Key, Any] = {}
    arguments, collections = unpack_collections((tuple(args), dict(kwargs)))
    if isinstance(arguments, tuple) and sizeof(arguments) > LARGE:
        graph[name, "arguments"] = DataNode((name, "arguments"), arguments)
        arguments = TaskRef((name, "arguments"))
    if isinstance(arguments, tuple):
        positional, named = arguments
    else:
        positional = Task(None, _item, arguments, 0)
        named = Task(None, _item, arguments, 1)
    # Data made by the client travels inside its task: it never waits on another worker.
    inside = {
        key: node.value
        for parts in keys
        for key in parts
        if isinstance(node := chunks.get(key), DataNode)
    }
    graph |= {key: node for key, node in chunks.items() if key not in inside}
    for collection in collections:
        graph.update(collection.__dask_graph__())
    # Tuples for tasks, which collections may still have, do not tell what they are made of.
    graph = convert_legacy_graph(graph) | _futures(graph)
    for i, parts in enumerate(keys):
        blocks = [inside[key] if key in inside else TaskRef(target(chunks, key)) for key in parts]
        axes = sketched.get(i)
        graph[name, i] = Task(
            (name, i), run_chunk, name, i, axes, shapes, limit, func, positional, named, *blocks
        )
    return RunGraph(name, tuple(range(len(keys))), graph)


def _futures(graph: Mapping[Key, Any]) -> dict[Key, Any]:
    """What is on the cluster already; it stays there for as long as somebody has the future."""
    return {key: node for key, node in graph.items() if isinstance(node, Future)}


def target(graph: Mapping[Key, Any], key: Key) -> Key:
    """What a key stands for in the end: an alias would be a task of its own on the cluster."""
    while isinstance(node := graph.get(key), Alias) and node.target != key:
        key = node.target
    return key


def submit(
    client: Client,
    run: RunGraph,
    parity: Collection[Key],
    retries: int,
    workers: Sequence[str] = (),
) -> dict[Key, Future[Any]]:
    """Submit the run; the future of every key that is wanted.

    Parameters
    ----------
    client : Client
    run : RunGraph
    parity : collection of keys
        Tasks that give way to all others: where workers are few, the blocks' own results come
        first, and nothing need be estimated. Views among them go ahead instead. Those that are
        not in the run do not matter.
    retries : int
    workers : sequence of str
        Addresses of the only workers that may run it; none for any.
    """
    wished = get_annotations().get("priority", 0)
    # They travel with the graph, so they hold no more than it needs.
    late = run.graph.keys() & parity
    # These need the thread of a block's worker for no time, and once its own chunk runs there may
    # not get it for long.
    ahead = {key for key in late if _is_view(run.graph[key])}
    late -= ahead

    def priority(key: Key) -> int:
        base = wished(key) if callable(wished) else wished
        return int(base) - (key in late) + (key in ahead)

    with (
        _submitting,
        annotate(priority=priority),
        # The data of NumPy arrays is in the graph on purpose, so its size needs no warning.
        dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 PB"}),
    ):
        # Were other workers allowed, idle ones would steal the tasks, and a worker whose thread is
        # taken by what was cancelled looks idle.
        futures: dict[Key, Future[Any]] = client.persist(
            run, retries=retries, workers=workers or None
        )
    return futures


def _is_view(node: Any) -> bool:
    """Whether the task copies nothing."""
    return isinstance(node, Alias) or (isinstance(node, Task) and node.func in _VIEWS)


def _item(pair: Sequence[Any], position: int) -> Any:
    return pair[position]
