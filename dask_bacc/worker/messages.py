"""What chunks say of themselves while they run: from a worker's threads, in few messages."""

from __future__ import annotations

import math
import pickle
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal
from weakref import WeakKeyDictionary, proxy

from dask_bacc.engine.worker import (
    Worker,
    call_at_once,
    call_later,
    dumps,
    publish,
    tasks_ready,
)

#: Seconds between messages of a worker, and for which it keeps to itself that a chunk has started.
#: What chunks that take less have to say shares a message: what a message costs would otherwise be
#: half of what such a chunk costs.
INTERVAL = 0.02

#: Tasks that a worker still has to run for which the interval grows by its own length, and how
#: many times as long it is at most: where much is left to do, nobody waits for the first results.
AHEAD, LONGEST = 4, 10

#: Bytes of results that make a message leave at once: the scheduler remembers the last thousand
#: of a client.
FULL = 256 * 2**10

#: Seconds after which a chunk that is still running counts as slow.
SLOW = 0.1

#: Clients whose batchers a worker remembers; others get a new one.
REMEMBERED = 100

_lock = threading.Lock()
_batchers: WeakKeyDictionary[Worker, dict[str, Batcher]] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class Message:
    """What a chunk says of itself."""

    run: str
    chunk: int
    #: ``"running"`` when it starts, ``"slow"`` if it still runs after a while, ``"done"`` when it
    #: has ended, whatever the outcome; ``"leaving"``, of no chunk, if its worker is told to leave
    state: Literal["running", "slow", "done", "leaving"]
    #: of ``"slow"``: pickled sketches of its blocks; of ``"done"``: its packed result, or what is
    #: to be known of it; None if there is nothing to bring
    payload: bytes | None = None
    #: seconds for which it has waited on its worker
    ago: float = 0.0
    #: number of the attempt at the chunk
    attempt: int = 0


def packed(messages: list[Message]) -> bytes:
    """Messages in one piece.

    Examples
    --------
    >>> unpacked(packed([Message("run", 3, "done")]))
    [Message(run='run', chunk=3, state='done', payload=None, ago=0.0, attempt=0)]
    """
    return pickle.dumps([(m.run, m.chunk, m.state, m.payload, m.ago, m.attempt) for m in messages])


def unpacked(payload: bytes) -> list[Message]:
    """The same where it has come."""
    return [Message(*fields) for fields in pickle.loads(payload)]


class Batcher:
    """Messages of one worker to one client, collected until it is time to send them.

    Parameters
    ----------
    worker : Worker
    topic : str
        Of the client.
    """

    def __init__(self, worker: Worker, topic: str) -> None:
        # Weak, for this is kept as long as the worker is.
        self._worker = proxy(worker)
        self._topic = topic
        #: with the time at which they were said
        self._waiting: list[tuple[float, Message]] = []
        self._size = 0
        self._lock = threading.Lock()
        #: when the last ones were sent, and when the next are to be
        self._sent, self._due = -math.inf, math.inf
        #: prevents the call that sends them; only the event loop knows it
        self._prevent: Callable[[], None] | None = None
        #: what is said of chunks that are slow, with the time from which they are
        self._if_slow: dict[tuple[str, int, int], tuple[float, Any]] = {}
        #: whether a call of `_send_slow` is under way
        self._watched = False

    def add(self, message: Message) -> None:
        """Send this soon; from any thread."""
        now = time.monotonic()
        with self._lock:
            if message.state == "done":
                self._if_slow.pop((message.run, message.chunk, message.attempt), None)
            self._waiting.append((now, message))
            self._size += len(message.payload or b"")
            if self._size >= FULL:
                due = now
            elif message.state == "running":
                due = now + self._interval()  # it may have ended by then
            else:
                due = max(now, self._sent + self._interval())
            if due >= self._due:
                return  # it travels with those that wait
            self._due = due
        call_at_once(self._worker, self._send_when_due)

    def add_if_slow(self, run: str, chunk: int, attempt: int, value: Any) -> None:
        """Send this if the chunk has not ended in a while; from any thread."""
        with self._lock:
            watched, self._watched = self._watched, True
            self._if_slow[run, chunk, attempt] = time.monotonic() + SLOW, value
        if not watched:
            call_at_once(self._worker, call_later, self._worker, SLOW, self._send_slow)

    def _interval(self) -> float:
        return INTERVAL * min(1 + tasks_ready(self._worker) // AHEAD, LONGEST)

    def _send_slow(self) -> None:
        now = time.monotonic()
        with self._lock:
            due = [key for key, (slow, _) in self._if_slow.items() if slow <= now]
            late = {key: self._if_slow.pop(key)[1] for key in due}
            wait = min((slow for slow, _ in self._if_slow.values()), default=now) - now
            self._watched = wait > 0
        for (run, chunk, attempt), value in late.items():
            self.add(Message(run, chunk, "slow", dumps(value), attempt=attempt))
        if wait > 0:
            call_later(self._worker, wait, self._send_slow)

    def _send_when_due(self) -> None:
        if self._prevent is not None:
            self._prevent()
            self._prevent = None
        now = time.monotonic()
        with self._lock:
            wait = self._due - now
            if wait > 0:
                if self._waiting:
                    self._prevent = call_later(self._worker, wait, self._send_when_due)
                return
            waiting, self._waiting, self._size = self._waiting, [], 0
            self._sent, self._due = now, math.inf
        messages = [replace(message, ago=now - then) for then, message in waiting]
        publish(self._worker, self._topic, packed(messages))


def say_leaving(worker: Worker) -> None:
    """Tell all clients whose chunks a worker has had that it leaves; on its event loop."""
    with _lock:
        topics = list(_batchers.get(worker, ()))
    for topic in topics:
        publish(worker, topic, packed([Message("", -1, "leaving")]))


def batcher(worker: Worker, topic: str) -> Batcher:
    """The one that brings this worker's messages to a client."""
    with _lock:
        of_worker = _batchers.setdefault(worker, {})
        if (found := of_worker.get(topic)) is None:
            found = of_worker[topic] = Batcher(worker, topic)
            if len(of_worker) > REMEMBERED:
                del of_worker[next(iter(of_worker))]
        return found
