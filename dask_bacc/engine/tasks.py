"""Tasks of graphs, as dask specifies them, and graphs of collections."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import dask
import dask.array as da
from dask._task_spec import convert_legacy_graph
from dask.base import collections_to_expr
from dask.core import flatten
from dask.delayed import unpack_collections
from dask.task_spec import Alias, DataNode, GraphNode, Task, TaskRef
from dask.typing import Key
from distributed import Future, futures_of

__all__ = [
    "Alias",
    "DataNode",
    "GraphNode",
    "Task",
    "TaskRef",
    "converted",
    "is_shuffle",
    "optimised",
    "substituted",
    "unpack_collections",
    "with_argument",
]

#: Where the functions are that tasks of peer-to-peer shuffles call; no public name tells them.
SHUFFLES = "distributed.shuffle"

#: dask's configuration is set for all threads at once, so threads optimise in turn.
_optimising = threading.Lock()


def converted(graph: Mapping[Key, Any]) -> dict[Key, Any]:
    """The graph with tasks in place of tuples, which do not tell what they are made of."""
    # Futures among the nodes would be taken for data.
    futures = {key: node for key, node in graph.items() if isinstance(node, Future)}
    nodes: dict[Key, Any] = convert_legacy_graph(graph)
    return nodes | futures


def substituted(node: GraphNode, renamed: Mapping[Key, Key], key: Key) -> GraphNode:
    """A node under another key, made of others under other keys."""
    return node.substitute(dict(renamed), key=key)


def with_argument(task: Task, place: int, value: Any) -> Task:
    """A task with another value for one of its positional arguments."""
    args = (*task.args[:place], value, *task.args[place + 1 :])
    return Task(task.key, task.func, *args, **task.kwargs)


def optimised(array: da.Array) -> tuple[dict[Key, Any], list[Key]]:
    """The optimised graph of a dask array with the futures in it, and the keys of its blocks.

    Where query planning decides how to rechunk, it is by plain tasks.
    """
    with _rechunked_by_tasks():
        expr = collections_to_expr([array], True).optimize()
        futures = futures_of(array)
    graph: dict[Key, Any] = convert_legacy_graph(expr.__dask_graph__())
    keys = list(flatten(expr.__dask_keys__()))
    # Optimising leaves their keys only, and what nobody has a future of is let go.
    used = set(keys).union(*(node.dependencies for node in graph.values()))
    graph |= {future.key: future for future in futures if future.key in used}
    return graph, keys


@contextlib.contextmanager
def _rechunked_by_tasks() -> Iterator[None]:
    """With query planning, how to rechunk is decided where an expression is optimised."""
    if not da.array_expr_enabled():
        yield
        return
    with _optimising, dask.config.set({"array.rechunk.method": "tasks"}):
        yield


def is_shuffle(node: Any) -> bool:
    """Whether a node of a graph is a task of a peer-to-peer shuffle, or has one fused into it.

    Examples
    --------
    >>> from distributed.shuffle._core import p2p_barrier
    >>> is_shuffle(Task("a", p2p_barrier, "an id")), is_shuffle(Task("b", abs, -1))
    (True, False)
    """
    if not isinstance(node, Task):
        return False
    if _module(node.func).startswith(SHUFFLES):
        return True
    return any(map(is_shuffle, _inside(node)))


def _module(func: Callable[..., Any]) -> str:
    while isinstance(func, partial):
        func = func.func
    return getattr(func, "__module__", None) or ""


def _inside(task: Task) -> Iterator[Any]:
    """Arguments of a task that may be tasks, and those that were fused into it."""
    for argument in (*task.args, *task.kwargs.values()):
        if isinstance(argument, dict):  # what a fused task executes
            yield from argument.values()
        else:
            yield argument
