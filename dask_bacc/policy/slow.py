"""Which workers are slow: a pure function of how long they took beside others."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dask_bacc.records.chunk import Attempted, ChunkRecord

#: Chunks that must have returned before anybody knows what is usual.
FEWEST = 4
#: Least logarithm of a quartile of durations over their median: nobody is out of the ordinary who
#: takes a fifth longer.
LEAST_SPREAD = math.log(1.2)
#: Times the usual duration from which on a chunk speaks against its worker.
MORE = 1.5
#: Bits of surprise from which on a worker is slow: chance makes one chunk in five hundred as late.
EVIDENCE = 9.0
#: Share of the workers that is slow at most: if more are, it is not they.
MOST = 0.25


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a worker was at a chunk, beside others of the same run."""

    worker: str
    chunk: int
    #: seconds since the run was submitted
    started: float
    #: seconds that it took, or has taken until it was cancelled
    seconds: float
    #: whether the worker was through with it
    through: bool
    #: seconds that chunks of the run took as a rule, and the logarithm of the upper quartile over
    #: these
    usual: float
    spread: float

    @property
    def times(self) -> float:
        """Seconds over what is usual."""
        return self.seconds / self.usual

    @property
    def surprise(self) -> float:
        """Bits: how often the chance halves that a chunk takes at least as long.

        From the median to the upper quartile it halves once; a Pareto distribution goes on so.
        """
        return 1 + math.log(self.times) / self.spread if self.times > 1 else 0.0


def paces_of(records: Sequence[ChunkRecord], now: float, minimum: float) -> dict[Attempted, Pace]:
    """How long workers were at the chunks of a run; empty as long as it says nothing.

    Parameters
    ----------
    records : sequence of ChunkRecord
    now : float
        Seconds since the run was submitted.
    minimum : float
        Seconds for which every chunk may take.

    Examples
    --------
    >>> records = [ChunkRecord("returned", w, 0.0, 1.0) for w in "abcd"]
    >>> records.append(ChunkRecord("running", "e", 0.0))
    >>> paces = paces_of(records, 2.0, 0.1)
    >>> paces[4, 0].times, paces[4, 0].through, paces[0, 0].surprise
    (2.0, False, 0.0)
    """
    durations = [s for record in records if (s := record.seconds) is not None]
    if len(durations) < FEWEST:
        return {}
    usual, upper = np.maximum(np.quantile(durations, [0.5, 0.75]), minimum)
    usual = max(float(usual), float(np.finfo(float).tiny))
    spread = max(math.log(float(upper) / usual), LEAST_SPREAD)
    paces = {}
    for chunk, record in enumerate(records):
        for number, tried in record.tried:
            if tried.worker is None or tried.started is None:
                continue
            end = tried.done
            if end is None and tried is record and record.state == "returned":
                end = record.ended
            stopped = now if tried.ended is None else tried.ended
            seconds = (stopped if end is None else end) - tried.started
            paces[chunk, number] = Pace(
                tried.worker, chunk, tried.started, seconds, end is not None, usual, spread
            )
    return paces


def slow_workers(paces: Iterable[Pace]) -> dict[str, float]:
    """Workers that have been slow of late, with their times the usual duration.

    A worker that is through with a chunk in about the usual time is not slow any more. A chunk
    that took long on several workers speaks against none.

    Parameters
    ----------
    paces : iterable of Pace
        In order of time.

    Examples
    --------
    >>> pace = lambda worker, seconds: Pace(worker, 3, 0.0, seconds, True, 1.0, 0.2)
    >>> slow_workers([pace("a", 1.0), pace("b", 10.0)])
    {'b': 10.0}
    >>> slow_workers([pace("b", 10.0), pace("b", 1.0)])
    {}
    """
    known = list(paces)
    long_on = defaultdict[int, set[str]](set)
    for pace in known:
        if pace.times >= MORE:
            long_on[pace.chunk].add(pace.worker)
    evidence, times = defaultdict[str, float](float), dict[str, float]()
    for pace in known:
        if pace.times < MORE:
            if pace.through:
                evidence[pace.worker] = 0.0
        elif len(long_on[pace.chunk]) == 1:
            evidence[pace.worker] += pace.surprise
            times[pace.worker] = pace.times
    return {worker: times[worker] for worker, bits in evidence.items() if bits >= EVIDENCE}


def to_avoid(
    slow: Mapping[str, float], threads: Mapping[str, int], chunks: int
) -> Collection[str]:
    """The slow workers whose share of some chunks would make everybody wait.

    Parameters
    ----------
    slow : mapping of str to float
        Times the usual duration that they take.
    threads : mapping of str to int
        Of all workers.
    chunks : int
        That are needed.

    Examples
    --------
    >>> to_avoid({"a": 3.0}, dict.fromkeys("abcd", 1), chunks=6)
    ['a']
    >>> to_avoid({"a": 3.0}, dict.fromkeys("ab", 1), chunks=6)
    []
    """
    present = sorted((w for w in slow if w in threads), key=lambda w: -slow[w])
    chosen = present[: max(math.floor(MOST * len(threads)), 1 if len(threads) > 1 else 0)]
    others = sum(count for worker, count in threads.items() if worker not in chosen)
    turns = math.ceil(chunks / max(others, 1))
    return [worker for worker in chosen if slow[worker] > turns]
