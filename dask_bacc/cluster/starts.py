"""Live news of chunks that start, one subscription per client for all its runs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from distributed import Client

from dask_bacc.cluster.task import TOPIC

#: Called on the client's event loop with the chunk and the address of the worker that starts it.
OnStart = Callable[[int, str], None]

_lock = threading.Lock()
_listeners: WeakKeyDictionary[Client, dict[str, OnStart]] = WeakKeyDictionary()


def listen(client: Client, run: str, on_start: OnStart) -> None:
    """Call `on_start` for every chunk of the run that starts, until `unlisten`."""
    with _lock:
        first = client not in _listeners
        listeners = _listeners.setdefault(client, {})
        listeners[run] = on_start
    if first:

        def dispatch(event: tuple[float, Any]) -> None:
            news = event[1]
            if (listener := listeners.get(news["run"])) is not None:
                listener(news["chunk"], news["worker"])

        client.subscribe_topic(TOPIC, dispatch)


def unlisten(client: Client, run: str) -> None:
    """Stop listening to a run."""
    with _lock:
        _listeners.get(client, {}).pop(run, None)
