"""Runs on drawn task times, by the schedule that real ones go by."""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from dask_bacc.coding import Code, Decoder
from dask_bacc.policy.first import is_long, without_room
from dask_bacc.policy.lateness import Patience
from dask_bacc.policy.schedule import next_step
from dask_bacc.policy.situation import Rules, Situation
from dask_bacc.policy.steps import Estimate, Finish, LaunchBackups, LaunchCopies, Probe, Wait
from dask_bacc.policy.timing import Timing
from dask_bacc.records.chunk import Attempted, ChunkRecord
from dask_bacc.records.state import RunState

#: ``seconds(chunk, worker, attempt)`` that a chunk takes on a worker; inf if it never returns.
Seconds = Callable[[int, int, int], float]
#: ``error(returned)``: the estimated error with these chunks' results; inf for no answer.
Error = Callable[[Collection[int]], float]

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
    copies: Patience | None = None,
    exact: bool = False,
    overhead: float = 0.0,
    hung: Collection[int] = (),
    error: Error | None = None,
    rtol: float = 0.0,
    timing: Timing = DEFAULT_TIMING,
    first: Sequence[int] | None = None,
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
        When parity chunks are launched; by default all chunks are launched at once, unless the run
        `is_long`.
    copies : Patience, optional
        When blocks are run once more on idle workers; by default they are not.
    exact : bool
        Whether only an exact answer will do.
    overhead : float
        Seconds that submitting and decoding take, together.
    hung : collection of int
        Workers that are given chunks and never start them; these are launched anew elsewhere
        once it is known.
    error : callable, optional
        Asked when at least `enough` results are in, and by those who choose between backups; by
        default any estimate will do, and none is asked for.
    rtol : float
        Error that is good enough.
    timing : Timing
        After which hung workers are known.
    first : sequence of int, optional
        Chunks that are launched at once, in this order; with `error`, what they are foreseen to
        leave is known before anything has come. By default all, or with `patience` the blocks.

    Examples
    --------
    >>> from dask_bacc import coding
    >>> code = coding.Local(2, 3)
    >>> slow_second = lambda chunk, worker, attempt: [1.0, 9.0, 1.5][chunk]
    >>> simulate(code, coding.Kriging(), slow_second, workers=3, enough=2).seconds
    1.5
    >>> simulate(code, coding.Kriging(), slow_second, workers=1, enough=2).seconds
    10.0
    >>> simulate(code, coding.Kriging(), slow_second, workers=3, enough=2, hung=[0]).seconds
    6.5
    """
    times = _Times(seconds, workers, hung)
    state = RunState(code.k, code.n, decoder.name, clock=lambda: times.now)
    started = first or (_at_once(code, workers) if patience is None else code.first_copies)
    state.spare(set(range(code.n)).difference(started))
    times.queue.extend((chunk, 0) for chunk in started)
    rules = Rules(
        code,
        decoder,
        enough,
        estimates=error is not None,
        rtol=rtol,
        deadline=math.inf,
        patience=patience or copies or Patience(0.5, 1.5, 0.1),
        parity=patience is not None or (first is None and len(started) < code.n),
        copies=copies is not None,
        exact=exact,
        timing=timing,
    )
    # With nobody to find, nobody is looked for.
    situation = Situation(state, probed=0.0 if hung else math.inf)
    if first is not None:
        situation.foresight = error
    while True:
        times.assign(state)
        match next_step(rules, situation, times.now):
            case Finish():
                break
            case Estimate() if error is not None:
                situation.fresh = False
                known = tuple(state.returned)
                situation.estimated(len(known), partial(_with_more, error, known), times.now, 0.0)
                if len(known) >= enough and error(known) <= rtol:
                    break
            case LaunchBackups(chunks):
                state.launch(chunks)
                times.queue.extend((chunk, 0) for chunk in chunks)
            case LaunchCopies(chunks, useless):
                if times.idle < len(chunks) and useless:
                    attempts = [(c, a) for c in useless for a in state.records[c].going_on]
                    state.give_up(useless)
                    times.drop(attempts)
                chosen = chunks[: times.idle]
                times.queue.extend(state.copy(chosen).items())
                if not chosen:
                    situation.copies_again = math.inf
            case Probe():
                situation.probed = times.now
                if times.now > timing.unresponsive_after:
                    state.launch(times.leave_hung())
                    situation.probed = math.inf
            case Wait(until):
                for attempted in times.advance(until):
                    if state.is_open(attempted[0]):
                        others = set(state.records[attempted[0]].going_on)
                        state.take_result(*attempted)
                        times.drop((attempted[0], other) for other in others)
                        situation.arrived(times.now, enough)
                if math.isinf(times.now):
                    break
    return _ended(state.records, times.now, times.now + overhead)


def _at_once(code: Code, workers: int) -> Sequence[int]:
    """Chunks that a run launches at once for whom parity is no matter of patience."""
    chunks = range(code.n)
    late = without_room(code, chunks, workers) if is_long(code.k, workers) else []
    return sorted(set(chunks).difference(late))


def _with_more(error: Error, returned: Sequence[int], more: Collection[int]) -> float:
    return error({*returned, *more})


class _Times:
    """Workers that take attempts at chunks one after the other, and the time."""

    def __init__(self, seconds: Seconds, workers: int, hung: Collection[int]) -> None:
        self.now = 0.0
        #: what no worker has taken
        self.queue = deque[Attempted]()
        self._seconds = seconds
        self._idle = deque(range(workers))
        self._hung = set(hung)
        #: what hung workers were given
        self._stuck: list[Attempted] = []
        #: ends of attempts, with their workers
        self._running: list[tuple[float, Attempted, int]] = []

    @property
    def idle(self) -> int:
        """Workers that have nothing to do."""
        return len(self._idle)

    def assign(self, state: RunState) -> None:
        """Idle workers take what waits."""
        while self.queue and self._idle:
            attempted, worker = self.queue.popleft(), self._idle.popleft()
            if worker in self._hung:
                self._stuck.append(attempted)
                continue
            chunk, attempt = attempted
            state.start(chunk, str(worker), attempt=attempt)
            end = self.now + self._seconds(chunk, worker, attempt)
            heapq.heappush(self._running, (end, attempted, worker))

    def leave_hung(self) -> list[int]:
        """Chunks that hung workers were given, which go to others; they are given no more."""
        stuck, self._stuck = self._stuck, []
        self.queue.extend(stuck)
        self._idle = deque(worker for worker in self._idle if worker not in self._hung)
        return [chunk for chunk, _ in stuck]

    def drop(self, attempts: Iterable[Attempted]) -> None:
        """Nobody wants these any more: their workers have nothing to do."""
        dropped = set(attempts)
        self.queue = deque(attempted for attempted in self.queue if attempted not in dropped)
        self._idle.extend(worker for _, known, worker in self._running if known in dropped)
        self._running = [running for running in self._running if running[1] not in dropped]
        heapq.heapify(self._running)

    def advance(self, until: float) -> list[Attempted]:
        """Go on to this time, or to the next end of an attempt; those that end then."""
        self.now = min(until, self._running[0][0] if self._running else math.inf)
        ended = []
        while self._running and self._running[0][0] <= self.now:
            _, attempted, worker = heapq.heappop(self._running)
            ended.append(attempted)
            self._idle.append(worker)
        return ended


def _ended(records: Collection[ChunkRecord], now: float, seconds: float) -> SimulatedRun:
    spent = used = 0.0
    for record in records:
        for _, tried in record.tried:
            if tried.started is not None:
                taken = (now if tried.ended is None else tried.ended) - tried.started
                spent += taken
                used += taken if tried is record and record.ended is not None else 0.0
    return SimulatedRun(seconds, spent, spent - used, tuple(records))
