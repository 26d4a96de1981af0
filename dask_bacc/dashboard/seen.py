"""What a scheduler knows of coded runs and of the workers that they are on."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from distributed import Scheduler
from distributed.scheduler import TaskState, WorkerState

from dask_bacc.engine.scheduler import silent_after
from dask_bacc.records.chunk import ChunkState
from dask_bacc.records.summary import TOPIC, Summary

#: Runs that are over which are shown.
LATELY = 20
#: Seconds for which a worker counts as slow after a run that says so.
SLOW_FOR = 60.0

_CHUNKS = re.compile(r"bacc-(?P<function>.+)-(?P<run>[0-9a-f]{32})(-again-\d+)?")


@dataclass(frozen=True)
class SeenRun:
    """A run that goes on, or that ended lately."""

    function: str
    #: of its name, what tells it from others of the function
    run: str
    #: number of chunks that have returned, of those that it has, and of copies of them
    returned: int
    n: int
    copies: int
    #: since it was submitted; None if that is not known
    seconds: float | None
    #: how it ended; None while it goes on
    ended: Summary | None = None


@dataclass(frozen=True)
class SeenWorker:
    """A worker, and what it has to do with chunks of runs."""

    address: str
    #: chunks by their state
    chunks: Mapping[ChunkState, int] = field(default_factory=dict)
    #: what is the matter with it; empty if nothing is
    trouble: str = ""


def run_of(name: str) -> tuple[str, str] | None:
    """Function and run of a group of tasks; None if it has no chunks.

    Examples
    --------
    >>> run_of("bacc-humidity-0123456789abcdef0123456789abcdef-again-2")
    ('humidity', '0123456789abcdef0123456789abcdef')
    >>> run_of("sum-0123456789abcdef0123456789abcdef")
    """
    found = _CHUNKS.fullmatch(name)
    return None if found is None else (found["function"], found["run"])


def runs(scheduler: Scheduler, began: Mapping[str, float]) -> list[SeenRun]:
    """Runs that go on, and those that ended lately, the newest first.

    Parameters
    ----------
    scheduler : Scheduler
    began : mapping of str to float
        When runs were submitted, by what tells them from others.
    """
    over = _ended(scheduler)
    named = [(run_of(summary["run"]), summary) for _, summary in over]
    ended = [
        SeenRun(*name, summary["returned"], summary["n"], 0, summary["seconds"], summary)
        for name, summary in named
        if name is not None
    ]
    return [*_going_on(scheduler, began, {run.run for run in ended}), *ended[:LATELY]]


def workers(scheduler: Scheduler) -> list[SeenWorker]:
    """All workers, by their addresses."""
    slow = _slow(scheduler)
    newest = max((w.last_seen for w in scheduler.workers.values()), default=0.0)
    patience = silent_after(len(scheduler.workers))
    found = []
    for address, worker in sorted(scheduler.workers.items()):
        behind = newest - worker.last_seen
        troubles = [
            ("leaves", worker.status.name == "closing_gracefully"),
            ("is paused", worker.status.name == "paused"),
            (f"does not respond, {behind:.0f} s", behind > patience),
            (f"slow, {slow.get(address, 0):.1f} times the usual", address in slow),
        ]
        trouble = ", ".join(what for what, so in troubles if so)
        found.append(SeenWorker(address, _chunks_on(worker), trouble))
    return found


def _going_on(
    scheduler: Scheduler, began: Mapping[str, float], over: Collection[str]
) -> Iterator[SeenRun]:
    chunks, returned, copies = (Counter[tuple[str, str]]() for _ in range(3))
    for name, group in list(scheduler.task_groups.items()):
        found = run_of(name)
        if found is None or found[1] in over:
            continue
        (chunks if name.endswith(found[1]) else copies)[found] += len(group)
        returned[found] += group.states["memory"]
    for run in reversed(chunks):
        since = began.get(run[1])
        seconds = None if since is None else time.time() - since
        yield SeenRun(*run, min(returned[run], chunks[run]), chunks[run], copies[run], seconds)


def _chunks_on(worker: WorkerState) -> Counter[ChunkState]:
    counts = Counter[ChunkState]()
    for task in list(worker.processing):
        if _is_chunk(task):
            counts["running" if task in worker.executing else "waiting"] += 1
    counts["returned"] = sum(map(_is_chunk, list(worker.has_what)))
    return counts


def _is_chunk(task: TaskState) -> bool:
    return run_of(task.group.name) is not None


def _slow(scheduler: Scheduler) -> dict[str, float]:
    """Workers that are slow by the newest of what clients said lately."""
    slow: dict[str, float] = {}
    since = time.time() - SLOW_FOR
    for at, summary in reversed(_ended(scheduler)):
        if at >= since:
            slow |= summary["slow"]
    return slow


def _ended(scheduler: Scheduler) -> list[tuple[float, Summary]]:
    """How runs ended and when, the newest first."""
    events: Iterable[tuple[float, Any]] = scheduler.get_events(TOPIC)
    return [(at, cast(Summary, message)) for at, message in reversed(list(events))]
