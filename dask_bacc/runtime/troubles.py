"""Workers that are not as they should be, for the report."""

from __future__ import annotations

from dask_bacc.records.state import RunState
from dask_bacc.runtime.monitor import Monitor

#: What is the matter with workers that take no tasks, in words.
NOT_RUNNING = {
    "paused": "is paused, for want of memory",
    "closing_gracefully": "is about to leave",
}


def note_troubles(state: RunState, monitor: Monitor, patience: float) -> None:
    """Enter what is the matter with workers, by what the scheduler said of them last.

    Parameters
    ----------
    state : RunState
        Of the run; workers that have been at its chunks are missed if they are gone.
    monitor : Monitor
    patience : float
        Seconds after which a worker that says nothing does not respond.
    """
    silent = monitor.unresponsive(patience)
    found = dict.fromkeys(state.workers - monitor.workers, "is gone")
    for worker in monitor.workers:
        info = monitor.info(worker)
        if worker in silent:
            found[worker] = "does not respond"
        elif info is not None and not info.running:
            found[worker] = NOT_RUNNING.get(info.status, info.status)
    state.troubles |= found
