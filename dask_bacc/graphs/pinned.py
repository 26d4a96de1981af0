"""Whether a graph gives the same data whenever it is computed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from dask.typing import Key
from distributed import Future

from dask_bacc.coding.arrays import is_foreign
from dask_bacc.engine.tasks import DataNode, GraphNode

#: Kinds of values that nobody can change.
_FIXED = (type(None), bool, int, float, complex, str, bytes, np.generic, np.dtype, slice)


def is_pinned(graph: Mapping[Key, Any]) -> bool:
    """Whether all that a graph begins with stays what it is.

    That are data on the cluster, and arrays of numbers that were copied into the graph: under
    tuples, as dask and encode have chunks of arrays. What has a single name is an object of the
    user's (storage, what was given to `dask.delayed`), and a task without sources may read a file.

    Examples
    --------
    >>> key = ("array", 0)
    >>> is_pinned({key: DataNode(key, np.zeros(3))})
    True
    >>> is_pinned({"array": DataNode("array", np.zeros(3))})
    False
    """
    return all(_stays(key, node) for key, node in graph.items())


def _stays(key: Key, node: Any) -> bool:
    if isinstance(node, DataNode):
        return _is_fixed(node.value) or (isinstance(key, tuple) and _in_memory(node.value))
    if isinstance(node, GraphNode):
        return bool(node.dependencies)
    return isinstance(node, Future)


def _is_fixed(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(map(_is_fixed, value))
    return isinstance(value, _FIXED)


def _in_memory(value: Any) -> bool:
    if isinstance(value, np.ndarray):
        return not isinstance(value, np.memmap) and not value.dtype.hasobject
    return is_foreign(value)
