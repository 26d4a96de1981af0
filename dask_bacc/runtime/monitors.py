"""The monitor of every client."""

from __future__ import annotations

import threading
import weakref

from distributed import Client

from dask_bacc.engine.scheduler import subscribe
from dask_bacc.runtime.monitor import Monitor

_lock = threading.Lock()
_monitors: weakref.WeakKeyDictionary[Client, Monitor] = weakref.WeakKeyDictionary()


def monitor_of(client: Client) -> Monitor:
    """The monitor of a client."""
    with _lock:
        if (found := _monitors.get(client)) is not None:
            return found
        found = _monitors[client] = Monitor(client=weakref.ref(client))
    return found


def subscribed(client: Client) -> tuple[Monitor, str]:
    """The monitor of a client, and the topic of messages that it gets from now on."""
    monitor = monitor_of(client)
    return monitor, subscribe(client, monitor.receive)
