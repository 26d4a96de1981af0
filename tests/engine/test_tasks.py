"""Tasks as dask specifies them."""

from __future__ import annotations

import functools
import operator

from dask.task_spec import DataNode, Task, TaskRef
from distributed.shuffle._core import p2p_barrier

from dask_bacc.engine.tasks import is_shuffle
from dask_bacc.graphs.shuffles import shuffle_keys


def test_shuffles_are_seen_inside_other_tasks():
    barrier = Task("barrier", p2p_barrier, "an id", TaskRef("a"))
    assert is_shuffle(barrier)
    assert is_shuffle(Task("x", functools.partial(p2p_barrier, "an id")))
    assert is_shuffle(Task("x", operator.neg, Task(None, p2p_barrier, "an id")))
    negated = Task("negated", operator.neg, TaskRef("barrier"))
    assert is_shuffle(Task.fuse(barrier, negated))
    graph = {"a": DataNode("a", 1), "barrier": barrier, "negated": negated}
    assert shuffle_keys(graph) == {"a", "barrier"}
    assert not is_shuffle(negated)
    assert not is_shuffle(DataNode("x", p2p_barrier))
