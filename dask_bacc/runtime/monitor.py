"""What is known of the workers: which chunk each is at, and which of them to keep away from."""

from __future__ import annotations

import math
import pickle
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from distributed import Client

from dask_bacc.worker.messages import TOPIC

#: Called on the client's event loop with what a chunk says of itself: ``chunk``, the address of
#: its ``worker``, ``state``, ``"running"``, ``"slow"`` or ``"done"``, and perhaps ``ahead``: its
#: result or what is to be known of it, or sketches of its blocks if it is slow.
OnNews = Callable[[Mapping[str, Any]], None]

#: Seconds after which nobody relies on what the scheduler said of its workers.
STALE_AFTER = 30.0
#: Runs for whose news there is time after they are over.
REMEMBERED = 100

_lock = threading.Lock()
_watches: WeakKeyDictionary[Client, Watch] = WeakKeyDictionary()


class Zombie(NamedTuple):
    """A cancelled chunk that still runs."""

    worker: str
    #: when it should be through, on the monotonic clock
    due: float


class Watch:
    """News of chunks that start and end, one subscription per client for all its runs.

    A function that was cancelled while it ran keeps its thread until it returns; its worker is
    occupied although the scheduler thinks it idle. A worker whose heartbeats stay away hangs, or
    its connection does.
    """

    def __init__(self) -> None:
        self._listeners: dict[str, OnNews] = {}
        #: the last runs that are over, with the seconds that a chunk of theirs takes at most
        self._over: dict[str, float] = {}
        #: cancelled chunks that still run, by run and chunk
        self._zombies: dict[tuple[str, int], Zombie] = {}
        #: seconds by which silent workers were behind the others, when last looked at
        self._silence: dict[str, float] = {}
        #: threads of every worker, when last looked at
        self._threads: dict[str, int] = {}
        #: workers that took tasks, when last looked at
        self.running: set[str] = set()
        #: when that was, on the monotonic clock
        self._looked = -math.inf

    def listen(self, run: str, on_news: OnNews) -> None:
        """Call `on_news` for every chunk of the run that starts or ends, until `unlisten`."""
        self._over.pop(run, None)
        self._listeners[run] = on_news

    def unlisten(self, run: str, limit: float = 0.0) -> None:
        """Stop listening to a run that is over; its chunks take up to `limit` seconds each."""
        self._listeners.pop(run, None)
        self._over[run] = limit
        if len(self._over) > REMEMBERED:
            del self._over[next(iter(self._over))]

    def dispatch(self, event: tuple[float, Any]) -> None:
        """Take in a message of a worker about its chunks."""
        message = event[1]
        self._silence.pop(message["worker"], None)
        for news in pickle.loads(message["news"]):
            self._take({**news, "worker": message["worker"]})

    def _take(self, news: Mapping[str, Any]) -> None:
        run, chunk, worker = news["run"], news["chunk"], news["worker"]
        if news["state"] == "done":
            # Another worker may have been given the chunk since.
            zombie = self._zombies.get((run, chunk))
            if zombie is not None and zombie.worker == worker:
                del self._zombies[run, chunk]
        elif news["state"] == "running" and run in self._over:
            # It started while its cancellation was on the way.
            self._zombies[run, chunk] = Zombie(worker, time.monotonic() + self._over[run])
        if (listener := self._listeners.get(run)) is not None:
            listener(news)

    def abandon(
        self, run: str, running: Mapping[int, str], due: Mapping[int, float] | None = None
    ) -> None:
        """Chunks were cancelled while they ran on these workers.

        They should be through when they are `due`; those of which that is not said, by now.
        """
        times = due or {}
        for chunk, worker in running.items():
            self._zombies[run, chunk] = Zombie(worker, times.get(chunk, 0.0))

    def look(
        self,
        threads: Mapping[str, int],
        silence: Mapping[str, float],
        running: Collection[str] | None = None,
    ) -> None:
        """Take in what the scheduler says of its workers.

        Parameters
        ----------
        threads : mapping
            Threads of all workers.
        silence : mapping
            For how many seconds some have been silent.
        running : collection of str, optional
            Those that take tasks, neither paused nor about to leave; by default all.
        """
        self._looked = time.monotonic()
        self._threads = dict(threads)
        self.running = set(threads if running is None else running)
        self._silence = dict(silence)
        self._zombies = {c: z for c, z in self._zombies.items() if z.worker in threads}

    @property
    def zombies(self) -> dict[tuple[str, int], str]:
        """Cancelled chunks that still run, by run and chunk, with their worker."""
        # They change on the event loop, and are looked at from any thread.
        return {chunk: zombie.worker for chunk, zombie in self._zombies.copy().items()}

    @property
    def workers(self) -> set[str]:
        """All workers, when last looked at."""
        return set(self._threads)

    def silent(self, seconds: float) -> set[str]:
        """Workers whose heartbeats stayed away for longer, when last looked at."""
        return {worker for worker, silence in self._silence.items() if silence > seconds}

    @property
    def suspects(self) -> set[str]:
        """Workers that are silent, or whose threads are all taken by cancelled chunks."""
        return self._suspects(self._zombies.copy().values())

    def _suspects(self, zombies: Iterable[Zombie]) -> set[str]:
        taken = Counter(zombie.worker for zombie in zombies)
        full = {worker for worker, count in taken.items() if count >= self._threads.get(worker, 1)}
        return full | self._silence.keys()

    def trusted(
        self, late: Collection[str] = (), *, patient: bool = False, fewest: int = 2
    ) -> list[str]:
        """Workers that are neither suspects nor late; empty if there is none to keep away from.

        Empty as well if nobody has looked for so long that there may be others by now.

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
        if time.monotonic() > self._looked + STALE_AFTER:
            return []
        now = time.monotonic() if patient else math.inf
        overdue = [zombie for zombie in self._zombies.copy().values() if zombie.due <= now]
        suspects = self._suspects(overdue).union(late)
        others = [worker for worker in self._threads if worker not in suspects]
        return others if suspects and len(others) >= fewest else []


def watch(client: Client) -> Watch:
    """The watch of a client."""
    with _lock:
        if (found := _watches.get(client)) is not None:
            return found
        found = _watches[client] = Watch()
    return found


def subscribe(client: Client) -> Watch:
    """The watch of a client, which gets the news of chunks that are submitted from now on."""
    found = watch(client)
    # Each time: a scheduler that was started anew knows of no subscription.
    client.subscribe_topic(TOPIC, found.dispatch)
    return found
