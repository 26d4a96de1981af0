"""Runs on drawn task times, under the policies that drive real ones."""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from dask_bacc.coding import Code, Decoder
from dask_bacc.policy.backups import Patience, backups, late_chunks
from dask_bacc.policy.stop import why_stop
from dask_bacc.records.report import ChunkRecord
from dask_bacc.runtime.recover import HUNG_AFTER, LOOK_EVERY

#: ``seconds(chunk, worker)`` that a chunk takes on a worker; inf if it never returns.
Seconds = Callable[[int, int], float]
#: ``accurate(returned)``: whether the estimate from these chunks' results is small enough.
Accurate = Callable[[Sequence[int]], bool]
#: Seconds after which a chunk that a hung worker was given is launched once more: at the first
#: look that finds the worker silent for long enough.
LAUNCHED_ANEW = math.ceil(HUNG_AFTER / LOOK_EVERY) * LOOK_EVERY


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
    7.0
    """
    records = [ChunkRecord() for _ in range(code.n)]
    queue = deque(range(code.n))
    if patience is not None:
        queue = deque(code.first_copies)
        for chunk in set(range(code.n)).difference(queue):
            records[chunk] = ChunkRecord("spare")
    idle = deque(range(workers))
    running: list[tuple[float, int, int]] = []
    returned: list[int] = []
    now = 0.0
    while True:
        while queue and idle:
            chunk, worker = queue.popleft(), idle.popleft()
            if worker in hung:
                heapq.heappush(running, (now + LAUNCHED_ANEW, chunk, worker))
                continue
            records[chunk] = ChunkRecord("running", str(worker), started=now)
            heapq.heappush(running, (now + seconds(chunk, worker), chunk, worker))
        stop = why_stop(
            code,
            decoder,
            returned=returned,
            outstanding=1,
            enough=enough,
            accurate=accurate is None or len(returned) < enough or accurate(returned),
            elapsed=now,
            deadline=None,
        )
        if stop is not None:
            return _ended(records, now, now + overhead)
        due = math.inf
        if patience is not None:
            late, due = late_chunks(records, now, patience)
            if wanted := backups(code, records, late, enough):
                for chunk in wanted:
                    records[chunk] = ChunkRecord(backup=now)
                queue.extend(wanted)
                continue
        now = min(running[0][0] if running else math.inf, due)
        if math.isinf(now):
            return _ended(records, now, now)
        while running and running[0][0] <= now:
            end, chunk, worker = heapq.heappop(running)
            if worker in hung:
                queue.append(chunk)
                idle = deque(other for other in idle if other not in hung)
                continue
            records[chunk] = replace(records[chunk], state="returned", ended=end)
            returned.append(chunk)
            idle.append(worker)


def _ended(records: Collection[ChunkRecord], now: float, seconds: float) -> SimulatedRun:
    spent = wasted = 0.0
    for record in records:
        if record.started is not None:
            spent += (now if record.ended is None else record.ended) - record.started
            wasted += now - record.started if record.ended is None else 0.0
    return SimulatedRun(seconds, spent, wasted, tuple(records))
