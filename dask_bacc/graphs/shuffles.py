"""Peer-to-peer shuffles in a graph, which have no second life under other keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from dask.task_spec import GraphNode, Task
from dask.typing import Key

#: Where the functions are that tasks of such shuffles call; no public name tells them.
MODULE = "distributed.shuffle"


def shuffle_keys(graph: Mapping[Key, Any]) -> set[Key]:
    """Keys of peer-to-peer shuffles (rechunk, shuffle, merge) and of all of which they are made.

    Their tasks name the shuffle they are part of: under new keys they would take part in the old
    one, which is over or waits for tasks of its own.

    Parameters
    ----------
    graph : mapping

    Examples
    --------
    >>> from distributed.shuffle._core import p2p_barrier
    >>> shuffle_keys({"a": Task("a", p2p_barrier, "an id"), "b": Task("b", abs, -1)})
    {'a'}
    """
    found: set[Key] = set()
    waiting = [key for key, node in graph.items() if is_shuffle(node)]
    while waiting:
        if (key := waiting.pop()) not in found:
            found.add(key)
            if isinstance(node := graph.get(key), GraphNode):
                waiting += node.dependencies
    return found


def is_shuffle(node: Any) -> bool:
    """Whether a node of a graph is a task of such a shuffle, or has one fused into it."""
    if not isinstance(node, Task):
        return False
    if _module(node.func).startswith(MODULE):
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
