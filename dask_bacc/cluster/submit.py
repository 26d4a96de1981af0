"""Sending a run to the scheduler: one graph, one task and one future per chunk."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import getitem
from typing import Any

import dask
import dask.threaded
from dask._task_spec import convert_legacy_graph
from dask.base import annotate, get_annotations
from dask.delayed import unpack_collections
from dask.sizeof import sizeof
from dask.task_spec import Alias, DataNode, GraphNode, Task, TaskRef
from dask.typing import Key
from dask.utils import funcname
from distributed import Client, Future

from dask_bacc.cluster.task import run_chunk

#: Bytes of arguments above which they are sent once, and not with every chunk.
LARGE = 100_000

#: dask's configuration is set for all threads at once, so threads submit in turn.
_submitting = threading.Lock()


@dataclass(frozen=True)
class RunGraph:
    """The tasks of a run as a dask collection, so that any client can persist them."""

    #: name of the run; chunk ``i`` has the key ``(name, i)``
    name: str
    #: the chunks that are wanted now
    chunks: tuple[int, ...]
    graph: Mapping[Key, Any]
    #: keys of the graph that are wanted beside the chunks
    sources: tuple[Key, ...] = ()

    __dask_optimize__ = None
    __dask_scheduler__ = staticmethod(dask.threaded.get)

    def __dask_graph__(self) -> Mapping[Key, Any]:
        return self.graph

    def __dask_keys__(self) -> list[Key]:
        return [*((self.name, i) for i in self.chunks), *self.sources]

    def __dask_tokenize__(self) -> tuple[str, tuple[int, ...]]:
        return self.name, self.chunks

    def only_for(self, chunks: Collection[int]) -> set[Key]:
        """The keys that serve these chunks and no others of the run."""
        return self._made_of(chunks) - self._made_of(set(self.chunks).difference(chunks))

    def shared_by(self, chunks: Collection[int]) -> set[Key]:
        """The keys of which these chunks are made and that serve others of the run as well.

        Of keys that are made of each other, the ones that come last.
        """
        own = self.only_for(chunks)
        return {source for key in own for source in self._sources(key)} - own

    def part(
        self,
        chunks: Collection[int],
        sources: Collection[Key] = (),
        there: Collection[Key] = (),
    ) -> RunGraph:
        """The same run for some of its chunks, with what they are made of and nothing else.

        Parameters
        ----------
        chunks : collection of int
        sources : collection of keys
            Wanted beside the chunks.
        there : collection of keys
            What the scheduler knows and keeps already, with all that it is made of.
        """
        needed = self._made_of(chunks, sources, there)
        graph = {key: self.graph[key] for key in needed if key in self.graph}
        return RunGraph(self.name, tuple(chunks), graph, tuple(sources))

    def can_do_without(self, chunk: int, keys: Collection[Key]) -> bool:
        """Whether the chunk needs one of the keys, and all of those can be made once more."""
        needed = self._made_of([chunk]).intersection(keys)
        return bool(needed) and all(self._can_make(key) for key in needed)

    def again(self, chunks: Collection[int], suffix: str, *, anew: bool) -> RunGraph:
        """The same run for some of its chunks under new keys.

        Parameters
        ----------
        chunks : collection of int
        suffix : str
            Of the new keys.
        anew : bool
            Whether all that the graph can make has new keys too, or is there.
        """
        needed = self._made_of(chunks) if anew else {(self.name, chunk) for chunk in chunks}
        renamed = {key: _renamed(key, suffix) for key in needed if self._can_make(key)}
        graph = {
            renamed.get(key, key): node.substitute(renamed, key=renamed[key])
            if key in renamed
            else node
            for key in needed
            if (node := self.graph.get(key)) is not None
        }
        return RunGraph(f"{self.name}{suffix}", tuple(chunks), graph)

    def lost(self, futures: Mapping[Key, Any] | None = None) -> set[int]:
        """The chunks made of data that was on the cluster, is gone, and cannot be made again.

        The scheduler refuses a graph as a whole if any of its chunks is one of these.

        Parameters
        ----------
        futures : mapping, optional
            States of a client's futures; by default, those inside of tasks are not looked at.
        """
        gone = {
            key
            for key, node in self.graph.items()
            if isinstance(node, Future) and node.status == "cancelled"
        }
        if futures is not None:
            needed = {source for key in self.graph for source in self._sources(key)}
            gone |= {
                key
                for key in needed - self.graph.keys()
                if key in futures and futures[key].status == "cancelled"
            }
        # Walking through the graph takes time, and hardly ever anything is gone.
        return {c for c in self.chunks if self._made_of([c]) & gone} if gone else set()

    def _can_make(self, key: Key) -> bool:
        # Not what is on the cluster already, of which the graph has only the future.
        return isinstance(self.graph.get(key), GraphNode)

    def _made_of(
        self,
        chunks: Iterable[int],
        keys: Collection[Key] = (),
        there: Collection[Key] = (),
    ) -> set[Key]:
        """These chunks' keys, these keys, and all of which they are made but what is there."""
        found: set[Key] = set()
        waiting: list[Key] = [*((self.name, chunk) for chunk in chunks), *keys]
        while waiting:
            if (key := waiting.pop()) not in found and key not in there:
                found.add(key)
                waiting += self._sources(key)
        return found

    def _sources(self, key: Key) -> Collection[Key]:
        """The keys of which a key is made directly."""
        return self.graph[key].dependencies if self._can_make(key) else ()

    def __dask_postcompute__(self) -> tuple[Callable[..., Any], tuple[()]]:
        return list, ()

    def __dask_postpersist__(self) -> tuple[Callable[..., Any], tuple[()]]:
        return dict, ()


def run_graph(
    chunks: Mapping[Key, Any],
    keys: Sequence[Sequence[Key]],
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
            (name, i), run_chunk, name, i, axes, limit, func, positional, named, *blocks
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
    return isinstance(node, Alias) or (isinstance(node, Task) and node.func is getitem)


def _renamed(key: Key, suffix: str) -> Key:
    if isinstance(key, tuple):
        return (_renamed(key[0], suffix), *key[1:])
    return f"{key}{suffix}"


def _item(pair: Sequence[Any], position: int) -> Any:
    return pair[position]
