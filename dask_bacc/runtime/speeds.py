"""What runs of a client tell of its workers' speed, for as long as it is remembered."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import replace

from dask_bacc.policy.slow import Pace, paces_of, slow_workers
from dask_bacc.records.state import RunState

#: Attempts at chunks that are remembered at most.
REMEMBERED = 1000
#: Cancelled chunks whose ends are remembered, and the quantile of them that is relied on.
LAST, SURE = 20, 0.9
#: A run, a chunk and the number of an attempt at it.
Place = tuple[str, int, int]


class Speeds:
    """How long workers were at chunks of late, run by run."""

    def __init__(self) -> None:
        #: with when the attempt began, on the monotonic clock; those that ended last come last
        self._paces: dict[Place, tuple[Pace, float]] = {}
        #: seconds that chunks took to end when they were cancelled, the last of them
        self._letting_go: deque[float] = deque(maxlen=LAST)

    def learn(self, run: str, state: RunState, minimum: float) -> None:
        """A run is over; every chunk may take that many seconds."""
        for attempted, pace in paces_of(state.records, state.elapsed, minimum).items():
            self._paces[run, *attempted] = pace, state.submitted + pace.started
        while len(self._paces) > REMEMBERED:
            del self._paces[next(iter(self._paces))]

    def letting_go(self, most: float) -> float:
        """Seconds in which cancelled chunks end as a rule; 0 if that is not known, or is more."""
        seconds = sorted(self._letting_go)
        usual = seconds[round(SURE * (len(seconds) - 1))] if seconds else 0.0
        return usual if usual <= most else 0.0

    def through(self, place: Place, worker: str, ago: float, cancelled: float) -> None:
        """A worker is through since `ago` seconds with what was cancelled then."""
        if (seconds := time.monotonic() - ago - cancelled) > 0:
            self._letting_go.append(seconds)
        pace, began = self._paces.get(place, (None, 0.0))
        if pace is not None and pace.worker == worker and not pace.through:
            del self._paces[place]
            seconds = max(time.monotonic() - ago - began, pace.seconds)
            self._paces[place] = replace(pace, seconds=seconds, through=True), began

    def recent(self, minimum: float) -> list[tuple[float, bool]]:
        """How long chunks took, times the usual of their runs, and whether that was to the end.

        Those of runs whose chunks take less than the minimum say nothing.
        """
        known = list(self._paces.values())
        return [(pace.times, pace.through) for pace, _ in known if pace.usual > minimum]

    def slow(self, memory: float) -> dict[str, float]:
        """Workers that have been slow in the last so many seconds, with their times the usual."""
        since = time.monotonic() - memory
        # They change on the event loop, and are looked at from any thread.
        known = list(self._paces.values())
        return slow_workers(pace for pace, began in known if began + pace.seconds >= since)
