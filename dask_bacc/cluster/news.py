"""What chunks say of themselves while they run: from a worker's threads, in few messages."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

from distributed import Worker

#: The one topic under which chunks say that they start and end.
TOPIC = "dask-bacc"

#: Seconds between messages of a worker. News of chunks that take less share a message: what a
#: message costs would otherwise be half of what such a chunk costs.
INTERVAL = 0.02

#: Seconds within which news are with the client; longer than a worker collects them.
COMES_WITHIN = 0.1

#: Bytes of results that make a message leave at once: the scheduler remembers the last thousand
#: events of a topic.
FULL = 64 * 2**10

_lock = threading.Lock()
_posts: WeakKeyDictionary[Worker, Post] = WeakKeyDictionary()


class Post:
    """News of one worker, collected until it is time for a message."""

    def __init__(self) -> None:
        self._waiting: list[Mapping[str, Any]] = []
        self._size = 0
        self._lock = threading.Lock()
        self._sent = -float("inf")

    def add(self, worker: Worker, news: Mapping[str, Any]) -> None:
        """Send these news soon; from any thread."""
        with self._lock:
            self._waiting.append(news)
            self._size += len(news.get("ahead", b""))
            if len(self._waiting) > 1 and self._size < FULL:
                return  # they travel with those that wait
        worker.loop.add_callback(self._send_when_due, worker)

    def _send_when_due(self, worker: Worker) -> None:
        wait = self._sent + INTERVAL - time.monotonic()
        if self._size >= FULL or wait <= 0:
            self._send(worker)
        else:
            worker.loop.call_later(wait, self._send, worker)

    def _send(self, worker: Worker) -> None:
        with self._lock:
            news, self._waiting, self._size = self._waiting, [], 0
        if news:
            self._sent = time.monotonic()
            worker.log_event(TOPIC, {"news": news})


def tell(worker: Worker, news: Mapping[str, Any]) -> None:
    """Tell all clients that subscribed to `TOPIC`, soon; the scheduler adds the worker's address.

    Parameters
    ----------
    worker : Worker
        Which the caller runs on.
    news : mapping
        Of what msgpack can carry; `bytes` under ``"ahead"`` may be large.
    """
    with _lock:
        post = _posts.get(worker)
        if post is None:
            post = _posts[worker] = Post()
    post.add(worker, news)
