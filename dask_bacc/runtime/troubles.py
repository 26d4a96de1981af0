"""Workers that are not as they should be, for the report."""

from __future__ import annotations

from dask_bacc.records.state import RunState
from dask_bacc.runtime.monitor import Monitor

#: What is the matter with workers that take no tasks, in words.
NOT_RUNNING = {"paused": "is paused, for want of memory"}
#: Of workers that were told to leave, and of those that have.
LEAVING, LEFT = "is about to leave", "was told to leave, and is gone"


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
    gone = state.workers - monitor.workers
    found = {worker: LEFT if worker in state.leaving else "is gone" for worker in gone}
    state.leaving |= monitor.leaving & state.workers
    for worker in monitor.workers:
        info = monitor.info(worker)
        if worker in silent:
            found[worker] = "does not respond"
        elif worker in monitor.leaving:
            found[worker] = LEAVING
        elif info is not None and not info.running:
            found[worker] = NOT_RUNNING.get(info.status, info.status)
    state.troubles |= found
