"""The graph of a run: which chunks need what of it, and what of it can be made once more."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import dask.threaded
from dask.typing import Key
from distributed import Future

from dask_bacc.engine.tasks import (
    Alias,
    GraphNode,
    Task,
    with_argument,
)
from dask_bacc.graphs.anew import can_be_made, under_new_keys, with_suffix
from dask_bacc.graphs.shuffles import shuffle_keys

#: Place of the number of the attempt among the arguments of `run_chunk`.
ATTEMPT = 2


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

    def needed(self, chunk: int) -> set[Key]:
        """The chunk's own key, and those of all of which it is made."""
        return self._made_of([chunk])

    @property
    def has_common(self) -> bool:
        """Whether all chunks need something that belongs to none of them, as large arguments."""
        needs = [self.graph[self.name, chunk].dependencies for chunk in self.chunks]
        return len(needs) > 1 and bool(frozenset.intersection(*map(frozenset, needs)))

    def data_of(self, chunk: int) -> set[Key]:
        """The keys of which it is made that are on the cluster already."""
        found = self._made_of([chunk])
        return {key for key in found if not isinstance(self.graph.get(key), GraphNode)}

    def can_make(self, keys: Collection[Key]) -> bool:
        """Whether all of these can be made once more."""
        return all(self._can_make(key) for key in keys)

    def again(self, attempts: Mapping[int, int], suffix: str, *, anew: bool) -> RunGraph:
        """The same run for some of its chunks under new keys.

        Parameters
        ----------
        attempts : mapping of int to int
            The chunks, and the numbers that the attempts at them have.
        suffix : str
            Of the new keys.
        anew : bool
            Whether all that the graph can make has new keys too, or is there.
        """
        own = {(self.name, chunk): number for chunk, number in attempts.items()}
        needed = self._made_of(attempts) if anew else set(own)
        renamed = {key: with_suffix(key, suffix) for key in needed if self._can_make(key)}
        graph = under_new_keys(self.graph, needed, renamed)
        for key, number in own.items():
            task = graph[renamed[key]]
            assert isinstance(task, Task)
            graph[renamed[key]] = with_argument(task, ATTEMPT, number)
        return RunGraph(f"{self.name}{suffix}", tuple(attempts), graph)

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

    @cached_property
    def _shuffled(self) -> set[Key]:
        return shuffle_keys(self.graph)

    def _can_make(self, key: Key) -> bool:
        return can_be_made(self.graph, key, self._shuffled)

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
        node = self.graph.get(key)
        return node.dependencies if isinstance(node, GraphNode) else ()

    def __dask_postcompute__(self) -> tuple[Callable[..., Any], tuple[()]]:
        return list, ()

    def __dask_postpersist__(self) -> tuple[Callable[..., Any], tuple[()]]:
        return dict, ()


def target(graph: Mapping[Key, Any], key: Key) -> Key:
    """What a key stands for in the end: an alias would be a task of its own on the cluster."""
    while isinstance(node := graph.get(key), Alias) and node.target != key:
        key = node.target
    return key
