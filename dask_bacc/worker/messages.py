"""What chunks say of themselves while they run: from a worker's threads, in few messages."""

from __future__ import annotations

import math
import pickle
import threading
import time
from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

from distributed import Worker

#: The one topic under which chunks say that they start and end.
TOPIC = "dask-bacc"

#: Seconds between messages of a worker, and for which it keeps to itself that a chunk has started.
#: News of chunks that take less share a message: what a message costs would otherwise be half of
#: what such a chunk costs.
INTERVAL = 0.02

#: Seconds within which news are with the client; longer than a worker collects them.
COMES_WITHIN = 0.1

#: Bytes of results that make a message leave at once: the scheduler remembers the last thousand
#: events of a topic.
FULL = 64 * 2**10

#: Seconds after which a chunk that is still running counts as slow.
SLOW = 0.1

_lock = threading.Lock()
_posts: WeakKeyDictionary[Worker, Post] = WeakKeyDictionary()


class Post:
    """News of one worker, collected until it is time for a message."""

    def __init__(self) -> None:
        #: with the time at which they were told
        self._waiting: list[tuple[float, Mapping[str, Any]]] = []
        self._size = 0
        self._lock = threading.Lock()
        #: when the last message was sent, and when the next one is to be
        self._sent, self._due = -math.inf, math.inf
        #: the call that sends it; only the event loop knows it
        self._timer: object | None = None
        #: what is told of chunks that are slow, with the time from which they are
        self._held: dict[tuple[str, int], tuple[float, Any]] = {}
        #: whether a call of `_send_held` is under way
        self._watched = False

    def hold(self, worker: Worker, run: str, chunk: int, value: Any) -> None:
        """Tell this if the chunk is slow; from any thread."""
        with self._lock:
            watched, self._watched = self._watched, True
            self._held[run, chunk] = time.monotonic() + SLOW, value
        if not watched:
            worker.loop.add_callback(worker.loop.call_later, SLOW, self._send_held, worker)

    def drop(self, run: str, chunk: int) -> None:
        """Forget what was to be told if this chunk is slow; from any thread."""
        with self._lock:
            self._held.pop((run, chunk), None)

    def _send_held(self, worker: Worker) -> None:
        now = time.monotonic()
        with self._lock:
            due = [key for key, (slow, _) in self._held.items() if slow <= now]
            late = {key: self._held.pop(key)[1] for key in due}
            wait = min((slow for slow, _ in self._held.values()), default=now) - now
            self._watched = wait > 0
        for (run, chunk), value in late.items():
            ahead = pickle.dumps(value)
            self.add(worker, {"run": run, "chunk": chunk, "state": "slow", "ahead": ahead})
        if wait > 0:
            worker.loop.call_later(wait, self._send_held, worker)

    def add(self, worker: Worker, news: Mapping[str, Any]) -> None:
        """Send these news soon; from any thread."""
        now = time.monotonic()
        with self._lock:
            self._waiting.append((now, news))
            self._size += len(news.get("ahead", b""))
            if self._size >= FULL:
                due = now
            elif news["state"] == "running":
                due = now + INTERVAL  # it may have ended by then
            else:
                due = max(now, self._sent + INTERVAL)
            if due >= self._due:
                return  # they travel with those that wait
            self._due = due
        worker.loop.add_callback(self._send_when_due, worker)

    def _send_when_due(self, worker: Worker) -> None:
        if self._timer is not None:
            worker.loop.remove_timeout(self._timer)
            self._timer = None
        now = time.monotonic()
        with self._lock:
            wait = self._due - now
            if wait > 0:
                if self._waiting:
                    self._timer = worker.loop.call_later(wait, self._send_when_due, worker)
                return
            waiting, self._waiting, self._size = self._waiting, [], 0
            self._sent, self._due = now, math.inf
        news = [{**news, "ago": now - at} for at, news in waiting]
        # In one piece: nobody on the way need look at what is in it, which would take longer than
        # all else that is done for a chunk.
        worker.log_event(TOPIC, {"news": pickle.dumps(news)})


def tell(worker: Worker, news: Mapping[str, Any]) -> None:
    """Tell all clients that subscribed to `TOPIC`, soon; the scheduler adds the worker's address.

    They are told as well for how many seconds the news have waited, as ``"ago"``.

    Parameters
    ----------
    worker : Worker
        Which the caller runs on.
    news : mapping
        Of what msgpack can carry; `bytes` under ``"ahead"`` may be large.
    """
    post = _post(worker)
    if news["state"] == "done":
        post.drop(news["run"], news["chunk"])
    post.add(worker, news)


def tell_if_slow(worker: Worker, run: str, chunk: int, value: Any) -> None:
    """Tell this of a chunk, pickled ``"ahead"``, if it does not end within `SLOW` seconds."""
    _post(worker).hold(worker, run, chunk, value)


def _post(worker: Worker) -> Post:
    with _lock:
        post = _posts.get(worker)
        if post is None:
            post = _posts[worker] = Post()
    return post
