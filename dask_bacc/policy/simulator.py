"""Runs on drawn task times, by the schedule that real ones go by."""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from dask_bacc.coding import Code, Decoder
from dask_bacc.policy.backups import Patience
from dask_bacc.policy.schedule import (
    Estimate,
    Finish,
    LaunchBackups,
    Probe,
    Rules,
    Situation,
    Wait,
    next_step,
)
from dask_bacc.policy.timing import Timing
from dask_bacc.records.chunk import ChunkRecord
from dask_bacc.records.state import RunState

#: ``seconds(chunk, worker)`` that a chunk takes on a worker; inf if it never returns.
Seconds = Callable[[int, int], float]
#: ``accurate(returned)``: whether the estimate from these chunks' results is small enough.
Accurate = Callable[[Sequence[int]], bool]

DEFAULT_TIMING = Timing()


@dataclass(frozen=True)
class SimulatedRun:
    """How a run would have gone."""

    #: seconds to the answer; inf if there is none
    seconds: float
    #: seconds that workers spent on chunks until then
    worker_seconds: float
    #: the part of them that went into chunks which had not returned
    wasted: float
    #: every chunk as it stood at the end
    records: tuple[ChunkRecord, ...]


def simulate(
    code: Code,
    decoder: Decoder,
    seconds: Seconds,
    *,
    workers: int,
    enough: int,
    patience: Patience | None = None,
    overhead: float = 0.0,
    hung: Collection[int] = (),
    accurate: Accurate | None = None,
    timing: Timing = DEFAULT_TIMING,
) -> SimulatedRun:
    """Simulate a run.

    Parameters
    ----------
    code, decoder
        Of the run.
    seconds : callable
        Time of each chunk on each worker.
    workers : int
        Workers of one thread, all idle at the beginning.
    enough : int
        Results that are needed.
    patience : Patience, optional
        When parity chunks are launched; by default all chunks are launched at once.
    overhead : float
        Seconds that submitting and decoding take, together.
    hung : collection of int
        Workers that are given chunks and never start them; these are launched anew elsewhere
        once it is known.
    accurate : callable, optional
        Asked when at least `enough` results are in; by default any such estimate will do.
    timing : Timing
        After which hung workers are known.

    Examples
    --------
    >>> from dask_bacc import coding
    >>> code = coding.Local(2, 3)
    >>> slow_second = lambda chunk, worker: [1.0, 9.0, 1.5][chunk]
    >>> simulate(code, coding.Kriging(), slow_second, workers=3, enough=2).seconds
    1.5
    >>> simulate(code, coding.Kriging(), slow_second, workers=1, enough=2).seconds
    10.0
    >>> simulate(code, coding.Kriging(), slow_second, workers=3, enough=2, hung=[0]).seconds
    6.5
    """
    times = _Times(seconds, workers, hung)
    state = RunState(code.k, code.n, decoder.name, clock=lambda: times.now)
    first = list(range(code.n))
    if patience is not None:
        first = list(code.first_copies)
        state.spare(set(range(code.n)).difference(first))
    times.queue.extend(first)
    rules = Rules(
        code,
        decoder,
        enough,
        estimates=accurate is not None,
        deadline=math.inf,
        patience=patience or Patience(0.5, 1.5, 0.1),
        parity=patience is not None,
        copies=False,
        exact=False,
        timing=timing,
    )
    # With nobody to find, nobody is looked for.
    situation = Situation(state, probed=0.0 if hung else math.inf)
    while True:
        times.assign(state)
        match next_step(rules, situation, times.now):
            case Finish():
                return _ended(state.records, times.now, times.now + overhead)
            case Estimate():
                situation.fresh = False
                if accurate is not None and accurate(state.returned):
                    return _ended(state.records, times.now, times.now + overhead)
            case LaunchBackups(chunks):
                state.launch(chunks)
                times.queue.extend(chunks)
            case Probe():
                situation.probed = times.now
                if times.now > timing.unresponsive_after:
                    state.launch(times.leave_hung())
                    situation.probed = math.inf
            case Wait(until):
                ended = times.advance(until)
                if math.isinf(times.now):
                    return _ended(state.records, times.now, times.now)
                for chunk in ended:
                    state.take_result(chunk)
                    situation.arrived(times.now, enough)


class _Times:
    """Workers that take chunks one after the other, and the time."""

    def __init__(self, seconds: Seconds, workers: int, hung: Collection[int]) -> None:
        self.now = 0.0
        #: chunks that no worker has taken
        self.queue = deque[int]()
        self._seconds = seconds
        self._idle = deque(range(workers))
        self._hung = set(hung)
        #: chunks that hung workers were given
        self._stuck: list[int] = []
        #: ends of chunks, with chunk and worker
        self._running: list[tuple[float, int, int]] = []

    def assign(self, state: RunState) -> None:
        """Idle workers take what waits."""
        while self.queue and self._idle:
            chunk, worker = self.queue.popleft(), self._idle.popleft()
            if worker in self._hung:
                self._stuck.append(chunk)
                continue
            state.start(chunk, str(worker))
            heapq.heappush(self._running, (self.now + self._seconds(chunk, worker), chunk, worker))

    def leave_hung(self) -> list[int]:
        """What hung workers were given, which goes to others; they are given no more."""
        stuck, self._stuck = self._stuck, []
        self.queue.extend(stuck)
        self._idle = deque(worker for worker in self._idle if worker not in self._hung)
        return stuck

    def advance(self, until: float) -> list[int]:
        """Go on to this time, or to the next end of a chunk; the chunks that end then."""
        self.now = min(until, self._running[0][0] if self._running else math.inf)
        ended = []
        while self._running and self._running[0][0] <= self.now:
            _, chunk, worker = heapq.heappop(self._running)
            ended.append(chunk)
            self._idle.append(worker)
        return ended


def _ended(records: Collection[ChunkRecord], now: float, seconds: float) -> SimulatedRun:
    spent = wasted = 0.0
    for record in records:
        if record.started is not None:
            spent += (now if record.ended is None else record.ended) - record.started
            wasted += now - record.started if record.ended is None else 0.0
    return SimulatedRun(seconds, spent, wasted, tuple(records))
