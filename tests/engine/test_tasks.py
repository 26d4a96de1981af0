"""Task specs and graphs of collections: one test for every part of dask that may change.

Written against dask 2026.8; see `test_scheduler`.
"""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from operator import add, neg

import dask
import dask.array as da
import numpy as np
import pytest
from dask.delayed import delayed
from distributed.shuffle._core import p2p_barrier

from dask_bacc.engine.tasks import (
    Alias,
    DataNode,
    Task,
    TaskRef,
    converted,
    is_shuffle,
    optimised,
    substituted,
    unpack_collections,
)
from dask_bacc.graphs.shuffles import shuffle_keys


def test_tuples_become_tasks_and_futures_stay(client):
    future = client.scatter(2)
    graph = {"a": 1, "b": (neg, "a"), "there": future}
    nodes = converted(graph)
    assert nodes["b"].dependencies == {"a"}
    assert nodes["there"] is future


def test_tasks_run_and_know_what_they_are_made_of():
    graph = {
        "data": DataNode("data", 3),
        "sum": Task("sum", add, TaskRef("data"), 4),
        "alias": Alias("alias", "sum"),
    }
    assert dask.get(graph, "alias") == 7
    assert graph["sum"].dependencies == {"data"}
    assert graph["alias"].target == "sum"
    renamed = substituted(graph["sum"], {"data": "other", "sum": "new"}, "new")
    assert (renamed.key, renamed.dependencies) == ("new", {"other"})


OPTIMISED = """
import dask
dask.config.set({"array.query-planning": PLANNED})
import dask.array as da, numpy as np
from dask_bacc.engine.tasks import optimised
array = (da.from_array(np.arange(12.0), chunks=3) + 1).rechunk(4)
graph, keys = optimised(array)
blocks = dask.get(graph, keys)
np.testing.assert_array_equal(np.concatenate(blocks), np.arange(12.0) + 1)
assert da.array_expr_enabled() == PLANNED
"""


@pytest.mark.parametrize("planned", ["False", "True"])
def test_graphs_of_arrays_are_optimised(planned):
    """In a process of its own: query planning is on or off for good."""
    code = OPTIMISED.replace("PLANNED", planned)
    subprocess.run([sys.executable, "-c", code], check=True)


def test_futures_in_an_array_stay_in_its_graph(client):
    array = client.persist(da.ones(6, chunks=3))
    graph, keys = optimised(array + 1)
    assert {key for key, node in graph.items() if hasattr(node, "status")}
    assert len(keys) == 2


def test_collections_among_arguments_are_found():
    lazy = delayed(np.arange)(3)
    arguments, collections = unpack_collections(((1, lazy), {"key": 2}))
    assert [collection.key for collection in collections] == [lazy.key]
    assert not isinstance(arguments, tuple)
    plain, none = unpack_collections(((1, 2), {"key": 2}))
    assert (plain, list(none)) == (((1, 2), {"key": 2}), [])


def test_shuffles_are_seen_inside_other_tasks():
    barrier = Task("barrier", p2p_barrier, "an id", TaskRef("a"))
    assert is_shuffle(barrier)
    assert is_shuffle(Task("x", partial(p2p_barrier, "an id")))
    assert is_shuffle(Task("x", neg, Task(None, p2p_barrier, "an id")))
    negated = Task("negated", neg, TaskRef("barrier"))
    assert is_shuffle(Task.fuse(barrier, negated))
    graph = {"a": DataNode("a", 1), "barrier": barrier, "negated": negated}
    assert shuffle_keys(graph) == {"a", "barrier"}
    assert not is_shuffle(negated)
    assert not is_shuffle(DataNode("x", p2p_barrier))
