"""Graphs under new keys, so that workers and scheduler have never heard of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from dask.typing import Key

from dask_bacc.engine.tasks import GraphNode, substituted


def can_be_made(graph: Mapping[Key, Any], key: Key, shuffled: Collection[Key]) -> bool:
    """Whether a key's value can be made once more, under another key.

    Parameters
    ----------
    graph : mapping
    key : key
    shuffled : collection of keys
        Of the graph's peer-to-peer shuffles.
    """
    # Not what is on the cluster already, of which the graph has only the future.
    return isinstance(graph.get(key), GraphNode) and key not in shuffled


def under_new_keys(
    graph: Mapping[Key, Any], wanted: Collection[Key], renamed: Mapping[Key, Key]
) -> dict[Key, Any]:
    """The wanted part of a graph, some of it under new keys.

    Parameters
    ----------
    graph : mapping
    wanted : collection of keys
        What the graph does not have is left out.
    renamed : mapping of keys to keys
        New keys of those that are wanted and can be made.
    """
    return {
        renamed.get(key, key): substituted(node, renamed, renamed[key]) if key in renamed else node
        for key in wanted
        if (node := graph.get(key)) is not None
    }


def with_suffix(key: Key, suffix: str) -> Key:
    """The key with another name, and the same place under it.

    Examples
    --------
    >>> with_suffix(("x", 3), "-again")
    ('x-again', 3)
    """
    if isinstance(key, tuple):
        return (with_suffix(key[0], suffix), *key[1:])
    return f"{key}{suffix}"
