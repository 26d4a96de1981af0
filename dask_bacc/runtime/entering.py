"""Messages of chunks, entered into the states of their runs."""

from __future__ import annotations

import weakref
from typing import NamedTuple

from dask_bacc.records.state import RunState
from dask_bacc.worker.messages import Message


class Over(NamedTuple):
    """A run that is over."""

    #: seconds that a chunk of it takes at most
    limit: float
    state: weakref.ref[RunState]


class StillRunning(NamedTuple):
    """A cancelled chunk that still runs."""

    worker: str
    #: when it should be through, on the monotonic clock
    due: float
    #: when it was cancelled
    since: float


def enter(state: RunState, message: Message, worker: str) -> None:
    """Enter what a chunk says of itself into the state of its run."""
    if message.state == "done":
        state.done(message.chunk, worker, message.ago, message.attempt)
    elif message.state == "running":
        state.start(message.chunk, worker, message.ago, message.attempt)
