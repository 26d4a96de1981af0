"""What is known of the workers: which chunk each is at, and which of them to keep away from."""

from __future__ import annotations

import asyncio
import math
import time
import weakref
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping

from distributed import Client

from dask_bacc.engine.scheduler import (
    ANSWER_WITHIN,
    WorkerInfo,
    briefly,
    forget_messages,
    in_background,
    silent_after,
    topic_of,
    workers_of,
)
from dask_bacc.policy.slow import to_avoid
from dask_bacc.records.chunk import Attempted
from dask_bacc.records.state import RunState
from dask_bacc.runtime.entering import Over, StillRunning, enter
from dask_bacc.runtime.speeds import Place, Speeds
from dask_bacc.worker.messages import Message, unpacked

#: Called on the client's event loop with a message and the address of its worker.
OnMessage = Callable[[Message, str], None]

#: By default, seconds for which what the scheduler said of its workers is relied on.
STALE_AFTER = 30.0
#: Bytes of messages that the scheduler may keep of a client.
KEPT = 2**20
#: Runs that are over for whose messages there is time.
REMEMBERED = 100


def nobody() -> None:
    """No client."""


class Monitor:
    """Messages of chunks that start and end, one subscription for all runs of a client.

    A function that was cancelled while it ran keeps its thread until it returns; its worker is
    occupied although the scheduler thinks it idle. A worker whose heartbeats stay away hangs, or
    its connection does.

    Parameters
    ----------
    stale_after : float
        Seconds after which nobody relies on what the scheduler said of its workers.
    client : callable, optional
        Gives the client whose runs these are, as long as there is one.
    """

    def __init__(
        self,
        stale_after: float = STALE_AFTER,
        client: Callable[[], Client | None] | None = None,
    ) -> None:
        self._stale_after = stale_after
        #: bytes of messages that have come, and that the scheduler has
        self._received = 0
        self._listeners: dict[str, OnMessage] = {}
        #: the last runs that are over
        self._over: dict[str, Over] = {}
        #: what was cancelled and still runs, by run, chunk and attempt
        self._still_running: dict[Place, StillRunning] = {}
        #: what the scheduler said of its workers, and when, on the monotonic clock
        self._workers: Mapping[str, WorkerInfo] = {}
        self._refreshed = -math.inf
        #: seconds by which unresponsive workers were behind the others then
        self._behind: dict[str, float] = {}
        #: those that were told to leave
        self.leaving: set[str] = set()
        #: how fast they are
        self.speeds = Speeds()
        #: whose workers they are; None if that is not said, or it is gone
        self._client: Callable[[], Client | None] = client or nobody
        #: runs that are watched
        self._watched: set[str] = set()

    def listen(self, run: str, on_message: OnMessage) -> None:
        """Call `on_message` for every message of the run's chunks, until it is over."""
        self._over.pop(run, None)
        self._listeners[run] = on_message

    def forget(self, run: str) -> None:
        """The run has never begun."""
        self._listeners.pop(run, None)

    def over(self, run: str, limit: float, state: RunState) -> None:
        """The run is over; its chunks take up to `limit` seconds each.

        The state is told which of them still run, for as long as somebody else has it.
        """
        self._listeners.pop(run, None)
        self._over[run] = Over(limit, weakref.ref(state))
        # What was overtaken on a worker that has left since never says that it is done.
        state.workers_left(self._workers.keys() | set(self.still_running(run).values()))
        if len(self._over) > REMEMBERED:
            del self._over[next(iter(self._over))]

    def receive(self, worker: str, payload: bytes) -> None:
        """Take in the messages of a worker."""
        self._behind.pop(worker, None)
        self._received += len(payload)
        for message in unpacked(payload):
            self._take(message, worker)

    def _take(self, message: Message, worker: str) -> None:
        if message.state == "leaving":
            self.leaving.add(worker)
            for tell in list(self._listeners.values()):
                tell(message, worker)
            return
        place = message.run, message.chunk, message.attempt
        over = self._over.get(message.run)
        if message.state == "done":
            # Another worker may have been given the chunk since.
            running = self._still_running.get(place)
            if running is not None and running.worker == worker:
                del self._still_running[place]
                self.speeds.through(place, worker, message.ago, running.since)
        elif message.state == "running" and over is not None:
            # It started while its cancellation was on the way.
            due = time.monotonic() + over.limit
            self.abandon(message.run, {place[1:]: worker}, {place[1:]: due})
            if (client := self._client()) is not None:
                in_background(self.watch(client, message.run))
        if over is not None and (state := over.state()) is not None:
            enter(state, message, worker)
        if (listener := self._listeners.get(message.run)) is not None:
            listener(message, worker)

    def abandon(
        self,
        run: str,
        running: Mapping[Attempted, str],
        due: Mapping[Attempted, float] | None = None,
    ) -> None:
        """Attempts at chunks, by chunk and number, were cancelled while they ran on these workers.

        They should be through when they are `due`; those of which that is not said, by now.
        """
        times, now = due or {}, time.monotonic()
        for place, worker in running.items():
            self._still_running[run, *place] = StillRunning(worker, times.get(place, 0.0), now)

    async def watch(self, client: Client, run: str, seen: Callable[[], object] = nobody) -> None:
        """See who leaves, as long as cancelled chunks of a run still run.

        A worker that dies with one never says that it is through with it. What is `seen` is
        called after every look.
        """
        if run in self._watched:
            return
        self._watched.add(run)
        try:
            while client.status == "running" and self.still_running(run):
                await asyncio.sleep(ANSWER_WITHIN)
                async with briefly():
                    await self.refresh(client)
                seen()
        finally:
            self._watched.discard(run)

    async def refresh(self, client: Client) -> None:
        """Ask the scheduler for its workers.

        Raises
        ------
        OSError
            While the scheduler is away.
        """
        if workers := await workers_of(client):
            self.update(workers)

    def update(self, workers: Mapping[str, WorkerInfo]) -> None:
        """Take in what the scheduler says of its workers."""
        self._refreshed = time.monotonic()
        self._workers = workers
        said = {address for address, info in workers.items() if info.leaving}
        self.leaving = said | (self.leaving & workers.keys())
        patience = silent_after(len(workers))
        self._behind = {a: info.behind for a, info in workers.items() if info.behind > patience}
        for run in {
            place[0] for place, r in self._still_running.items() if r.worker not in workers
        }:
            over = self._over.get(run)
            if over is not None and (state := over.state()) is not None:
                state.workers_left(workers)
        self._still_running = {
            chunk: running
            for chunk, running in self._still_running.items()
            if running.worker in workers
        }

    def still_running(self, run: str | None = None) -> dict[Place, str]:
        """What was cancelled and still runs, of one run or of all, with its workers."""
        # They change on the event loop, and are looked at from any thread.
        return {
            place: running.worker
            for place, running in self._still_running.copy().items()
            if run in (None, place[0])
        }

    @property
    def workers(self) -> set[str]:
        """All workers, when last refreshed."""
        return set(self._workers)

    def info(self, worker: str) -> WorkerInfo | None:
        """What is known of a worker; None of one that is not there."""
        return self._workers.get(worker)

    def unresponsive(self, seconds: float) -> set[str]:
        """Workers whose heartbeats stayed away for longer, when last refreshed."""
        return {worker for worker, behind in self._behind.items() if behind > seconds}

    @property
    def unavailable(self) -> set[str]:
        """Workers that do not respond, leave, or have cancelled chunks on all threads."""
        return self._unavailable(self._still_running.copy().values())

    def _unavailable(self, running: Iterable[StillRunning]) -> set[str]:
        taken = Counter(chunk.worker for chunk in running)
        threads = {worker: info.threads for worker, info in self._workers.items()}
        full = {worker for worker, count in taken.items() if count >= threads.get(worker, 1)}
        return full | self._behind.keys() | self.leaving

    @property
    def is_fresh(self) -> bool:
        """Whether the scheduler said lately who its workers are."""
        return time.monotonic() <= self._refreshed + self._stale_after

    def available(
        self, late: Collection[str] = (), *, patient: bool = False, fewest: int = 2
    ) -> list[str]:
        """Workers that are neither unavailable nor late; empty if there is none to keep off.

        Empty as well if the scheduler was asked so long ago that there may be others by now.

        Parameters
        ----------
        late : collection of str
            Other workers to keep away from.
        patient : bool
            Whether to count on cancelled chunks to end as soon as others of their run did.
        fewest : int
            How many make a choice. What only a single one may run would be lost with it, if nobody
            looks after it.
        """
        if not self.is_fresh:
            return []
        now = time.monotonic() if patient else math.inf
        overdue = [r for r in self._still_running.copy().values() if r.due <= now]
        kept_off = self._unavailable(overdue).union(late)
        others = [worker for worker in self._workers if worker not in kept_off]
        return others if kept_off and len(others) >= fewest else []

    def to_avoid(self, slow: Mapping[str, float], chunks: int) -> Collection[str]:
        """Slow workers whose share of so many chunks would make everybody wait."""
        return to_avoid(slow, self.threads(self._workers), chunks)

    def threads(self, workers: Collection[str]) -> dict[str, int]:
        """Of some workers."""
        known = self._workers
        return {worker: known[worker].threads for worker in workers if worker in known}

    @property
    def all_threads(self) -> dict[str, int]:
        """Of workers that take tasks, whatever else they do."""
        return {worker: info.threads for worker, info in self._workers.items() if info.running}

    def idle(self, processing: Mapping[str, Collection[object]]) -> list[str]:
        """Of workers that have free threads those that have nothing to do, by their addresses."""
        return sorted(w for w in self.free_threads(processing) if not processing.get(w))

    def free_threads(self, processing: Mapping[str, Collection[object]]) -> dict[str, int]:
        """Threads left beside what workers are to do, of those that take tasks and have any."""
        taken = Counter(chunk.worker for chunk in self._still_running.copy().values())
        free = {
            worker: info.threads - taken[worker] - len(processing.get(worker, ()))
            for worker, info in self._workers.items()
            if info.running and worker not in self._behind and worker not in self.leaving
        }
        return {worker: count for worker, count in free.items() if count > 0}

    async def tidy(self, client: Client) -> None:
        """Have the scheduler forget messages, if it keeps many."""
        if self._received > KEPT:
            self._received = 0
            await forget_messages(client, topic_of(client))
