"""Sending a run to the scheduler: one graph, one task and one future per chunk."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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

#: Functions of tasks that copy nothing.
_VIEWS = (getitem, slice_of)

#: dask's configuration is set for all threads at once, so threads submit in turn.
_submitting = threading.Lock()


@dataclass(frozen=True)
class Allowed:
    """The workers that may run the tasks of a run."""

    #: addresses of the only ones; none for any worker
    workers: Sequence[str] = ()
    #: of them, the only one for each of some chunks; of any worker, the one that is preferred
    places: Mapping[int, str] = field(default_factory=dict)

    def for_chunk(self, chunk: int) -> Sequence[str]:
        """Those that may run a chunk; none for any."""
        return [self.places[chunk]] if self.workers and chunk in self.places else self.workers


#: All of them may.
ANY = Allowed()


def submit(
    client: Client,
    run: RunGraph,
    ranks: Mapping[Key, int],
    retries: int,
    allowed: Allowed = ANY,
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
    allowed : Allowed
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

    chunk_of = {(run.name, chunk): chunk for chunk in allowed.places}

    def workers(key: Key) -> Sequence[str]:
        return [allowed.places[chunk_of[key]]] if key in chunk_of else allowed.workers

    restricted: dict[str, Any] = {}
    if allowed.workers or allowed.places:
        # Where some are kept off, idle ones would steal the tasks, and a worker whose thread is
        # taken by what was cancelled looks idle.
        restricted = {"workers": workers, "allow_other_workers": not allowed.workers}
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
