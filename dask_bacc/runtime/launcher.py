"""Bringing the chunks of a run to the cluster, all at once or some of them later."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from dask.base import annotate, get_annotations
from dask.typing import Key
from distributed import Client, Future

from dask_bacc.engine.scheduler import states_of
from dask_bacc.graphs.map import RunGraph
from dask_bacc.records.chunk import Attempted
from dask_bacc.runtime.submit import ANY, Allowed, submit

#: How often a chunk is launched once more because workers do not respond.
ATTEMPTS = 3
#: No task goes ahead of others.
NOBODY_FIRST: Mapping[Key, int] = {}


class Launcher:
    """Submits chunks of a run and holds their futures.

    Parameters
    ----------
    client : Client
    run : RunGraph
        With all chunks.
    ranks : mapping of keys to int
        Tasks that go ahead of others, or give way to them.
    retries : int
    """

    def __init__(
        self, client: Client, run: RunGraph, ranks: Mapping[Key, int], retries: int
    ) -> None:
        self._client = client
        #: name of the run
        self.name = run.name
        self._run = run
        self._ranks = ranks
        self._retries = retries
        # Chunks are launched from other threads and in other contexts, too.
        self._annotations = get_annotations()
        # Workers that have what chunks ask for are the scheduler's to choose: of those named here
        # none may have it.
        self._any_worker = bool(self._annotations.keys() & {"resources", "workers"})
        #: future of every attempt that was submitted, by chunk and number
        self.futures: dict[Attempted, Future[Any]] = {}
        self._sources: Mapping[Key, Future[Any]] = {}
        #: of every attempt, the graph with its keys on the cluster, and the workers it may use
        self._sent: dict[Attempted, tuple[RunGraph, Allowed]] = {}
        self._attempts = Counter[int]()
        self._again = 0
        # A run may be cancelled while another thread submits for it.
        self._lock = threading.Lock()
        self._over = False

    def launch(
        self,
        chunks: Collection[int],
        allowed: Allowed,
        *,
        sources: Collection[Key] = (),
    ) -> dict[Attempted, Future[Any]]:
        """Submit some chunks, none of them lost.

        Parameters
        ----------
        chunks : collection of int
        allowed : Allowed
            Workers that may run them.
        sources : collection of keys
            What chunks that may follow are made of; kept on the cluster until `let_go`, and not
            sent with those that follow.

        Returns
        -------
        dict of pairs of int to Future
            By chunk and number of the attempt, which is 0.
        """
        there = {key for key, future in self._sources.items() if not future.cancelled()}
        part = self._run.part(chunks, sources, there)
        futures, allowed = self._submit(part, allowed, self._ranks)
        if sources:
            self._sources = {key: futures[key] for key in sources}
        return self._launched(self._run, dict.fromkeys(chunks, 0), futures, allowed)

    def relaunch(
        self, attempts: Mapping[int, int], workers: Sequence[str], *, anew: bool
    ) -> dict[Attempted, Future[Any]]:
        """Submit some chunks once more, under new keys.

        Parameters
        ----------
        attempts : mapping of int to int
            The chunks, and the numbers of the attempts.
        workers : sequence of str
            Addresses of the only ones that may run them; none for any.
        anew : bool
            Whether all that they are made of is made once more, too.
        """
        with self._lock:
            self._again += 1
            suffix = f"-again-{self._again}"
        again = self._run.again(attempts, suffix, anew=anew)
        futures, allowed = self._submit(again, Allowed(workers))
        return self._launched(again, attempts, futures, allowed)

    def lost(self) -> set[int]:
        """As `RunGraph.lost`, as far as the client knows."""
        return self._run.lost(states_of(self._client))

    def bystanders(self, attempts: Collection[Attempted]) -> list[int]:
        """Chunks of those attempts that the cluster gave up only because others are lost."""
        lost = self.lost()
        return [c for c, _ in self._may_go_again(attempts) if c not in lost] if lost else []

    def stuck(
        self, attempts: Collection[Attempted], keys: Collection[Key]
    ) -> tuple[list[int], list[int]]:
        """Chunks of those attempts that need one of the keys.

        Returns
        -------
        without, never : list of int
            Those that can be had without, and those that cannot.
        """
        without, never = list[int](), list[int]()
        again = set(self._may_go_again(attempts))
        for attempted in attempts:
            if attempted not in self._sent:
                continue
            graph, chunk = self._sent[attempted][0], attempted[0]
            if needed := graph.needed(chunk).intersection(keys):
                possible = attempted in again and graph.can_make(needed)
                (without if possible else never).append(chunk)
        return without, never

    def needed(self, attempts: Collection[Attempted]) -> set[Key]:
        """All of which those of the attempts are made that were launched."""
        graphs = ((a[0], self._sent[a][0]) for a in attempts if a in self._sent)
        return {key for chunk, graph in graphs for key in graph.needed(chunk)}

    def queued(self, attempts: Collection[Attempted], keys: Collection[Key]) -> list[int]:
        """Chunks of those attempts whose key is among the keys, and that may run anywhere."""
        left = [] if self._any_worker else self._may_go_again(attempts)
        return [attempted[0] for attempted in left if self.futures[attempted].key in keys]

    def stranded(self, attempts: Collection[Attempted], workers: Collection[str]) -> list[int]:
        """Chunks of those attempts that may run on none of the workers."""
        return [
            attempted[0]
            for attempted in attempts
            if attempted in self._sent
            and (allowed := self._sent[attempted][1].for_chunk(attempted[0]))
            and not set(allowed).intersection(workers)
        ]

    def drop(self, attempts: Collection[Attempted]) -> None:
        """Let go of some futures."""
        with self._lock:
            for attempted in attempts:
                self.futures.pop(attempted, None)

    def let_go(self, keep: Collection[int] = ()) -> None:
        """Let go of all futures but those of some chunks."""
        with self._lock:
            for attempted in [a for a in self.futures if a[0] not in keep]:
                del self.futures[attempted]
            self._sources = {}
            if not self.futures:
                # The graph may hold futures of what the chunks are made of.
                self._run = self._run.part(())
                self._sent.clear()
                self._over = True

    def _submit(
        self,
        run: RunGraph,
        allowed: Allowed,
        ranks: Mapping[Key, int] = NOBODY_FIRST,
    ) -> tuple[dict[Key, Future[Any]], Allowed]:
        """The futures, and the workers that may make them."""
        allowed = ANY if self._any_worker else allowed
        with annotate(**self._annotations):
            return submit(self._client, run, ranks, self._retries, allowed), allowed

    def recovers(self, chunks: Collection[int]) -> None:
        """Count that these chunks are launched once more because of their workers."""
        self._attempts.update(chunks)

    def _may_go_again(self, attempts: Collection[Attempted]) -> list[Attempted]:
        return [a for a in attempts if a in self._sent and self._attempts[a[0]] < ATTEMPTS]

    def _launched(
        self,
        run: RunGraph,
        attempts: Mapping[int, int],
        futures: Mapping[Key, Future[Any]],
        allowed: Allowed,
    ) -> dict[Attempted, Future[Any]]:
        launched = {
            (chunk, number): futures[run.name, chunk] for chunk, number in attempts.items()
        }
        with self._lock:
            if not self._over:
                self._sent |= dict.fromkeys(launched, (run, allowed))
                self.futures |= launched
        return launched
