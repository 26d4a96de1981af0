"""Sending a run to the scheduler: one graph, one task and one future per chunk."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from operator import getitem
from typing import Any

from dask.base import annotate, get_annotations
from dask.task_spec import Alias, Task
from dask.typing import Key
from distributed import Client, Future

from dask_bacc.engine.scheduler import large_graphs
from dask_bacc.graphs.map import RunGraph
from dask_bacc.worker.blocks import slice_of

#: Bytes of arguments above which they are sent once, and not with every chunk.
LARGE = 100_000

#: No task has a worker of its own.
NOWHERE: Mapping[Key, str] = {}

#: Functions of tasks that copy nothing.
_VIEWS = (getitem, slice_of)

#: dask's configuration is set for all threads at once, so threads submit in turn.
_submitting = threading.Lock()


def submit(
    client: Client,
    run: RunGraph,
    ranks: Mapping[Key, int],
    retries: int,
    workers: Sequence[str] = (),
    places: Mapping[Key, str] = NOWHERE,
) -> dict[Key, Future[Any]]:
    """Submit the run; the future of every key that is wanted.

    Parameters
    ----------
    client : Client
    run : RunGraph
    ranks : mapping of keys to int
        Tasks that go ahead of others, or give way to them. Views among those that give way go
        ahead instead. Those that are not in the run do not matter.
    retries : int
    workers : sequence of str
        Addresses of the only workers that may run it; none for any.
    places : mapping of keys to str
        The only worker for each of these tasks, where `workers` are given.
    """
    wished = get_annotations().get("priority", 0)
    # They travel with the graph, so they hold no more than it needs.
    own = {key: ranks[key] for key in run.graph.keys() & ranks.keys()}
    # These need the thread of a block's worker for no time, and once its own chunk runs there may
    # not get it for long.
    own |= {key: 1 for key, rank in own.items() if rank < 0 and _is_view(run.graph[key])}

    def priority(key: Key) -> int:
        base = wished(key) if callable(wished) else wished
        return int(base) + own.get(key, 0)

    def allowed(key: Key) -> Sequence[str]:
        return [places[key]] if key in places else workers

    # Were other workers allowed, idle ones would steal the tasks, and a worker whose thread is
    # taken by what was cancelled looks idle.
    restricted = {"workers": allowed} if workers else {}
    with (
        _submitting,
        annotate(priority=priority, **restricted),
        large_graphs(),
    ):
        futures: dict[Key, Future[Any]] = client.persist(run, retries=retries)
    return futures


def _is_view(node: Any) -> bool:
    """Whether the task copies nothing."""
    return isinstance(node, Alias) or (isinstance(node, Task) and node.func in _VIEWS)
