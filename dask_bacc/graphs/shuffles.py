"""Peer-to-peer shuffles in a graph, which have no second life under other keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dask.typing import Key

from dask_bacc.engine.tasks import GraphNode, is_shuffle


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
    >>> from dask_bacc.engine.tasks import Task
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
