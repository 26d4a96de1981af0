"""What a picture of a run has to draw: attempts at chunks, and the rows they are in."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from dask_bacc.records.report import RunReport

#: Share of a chunk's time by which its worker's last one may seem to end after it began: messages
#: take their time, and what has waited on a worker is known only to some milliseconds.
SLACK = 0.2


@dataclass(frozen=True)
class Bar:
    """A worker's time with a chunk."""

    chunk: int
    #: a state of `ChunkRecord`, or ``"lost"``
    outcome: str
    worker: str
    begin: float
    end: float


def bars_of(report: RunReport) -> list[Bar]:
    """What workers did: an attempt at a chunk each, those that were lost or raised among them.

    An attempt ends when its worker was through with it, as far as that is known; else when its
    outcome was known.
    """
    bars = []
    for index, chunk in enumerate(report.chunks):
        if chunk.worker is not None and chunk.started is not None:
            ends = [time for time in (chunk.done, chunk.ended) if time is not None]
            end = min(ends, default=report.seconds)
            bars.append(Bar(index, chunk.state, chunk.worker, chunk.started, end))
        # Of several attempts at once, all but one are not wanted any more.
        for other in chunk.others:
            if other.worker is not None and other.started is not None:
                ends = [time for time in (other.done, other.ended) if time is not None]
                end = min(ends, default=report.seconds)
                outcome = "running" if other.ended is None else "cancelled"
                bars.append(Bar(index, outcome, other.worker, other.started, end))
    # The worker of every chunk's attempt, when it began, and when it was done.
    attempts: dict[int, tuple[str, float, float | None]] = {}
    for event in report.events:
        if event.chunk is None or event.worker is None or report.chunks[event.chunk].others:
            continue
        if event.kind == "done" and event.chunk in attempts:
            attempts[event.chunk] = (*attempts[event.chunk][:2], event.seconds)
        elif event.kind in ("started", "lost"):
            # What was lost may be lost once more before another worker has started it.
            if (attempt := attempts.pop(event.chunk, None)) is not None:
                worker, begin, done = attempt
                outcome = "lost" if event.kind == "lost" else "erred"
                end = event.seconds if done is None else done
                bars.append(Bar(event.chunk, outcome, worker, begin, end))
            if event.kind == "started":
                attempts[event.chunk] = (event.worker, event.seconds, None)
    return sorted(bars, key=lambda bar: (bar.begin, bar.chunk))


def rows_of(bars: Sequence[Bar]) -> tuple[list[str], list[int]]:
    """The worker of every row, and the row of every bar.

    A worker has as many rows as chunks that it was at, at once, but for what messages are late.

    Examples
    --------
    >>> rows_of([Bar(0, "returned", "b", 0, 2), Bar(1, "returned", "a", 0, 1),
    ...          Bar(2, "returned", "b", 1, 3), Bar(3, "returned", "a", 1, 2)])
    (['a', 'b', 'b'], [1, 0, 2, 0])
    """
    lanes: defaultdict[str, list[float]] = defaultdict(list)
    places = []
    for bar in bars:
        ends = lanes[bar.worker]
        slack = SLACK * (bar.end - bar.begin)
        lane = next((i for i, end in enumerate(ends) if end <= bar.begin + slack), len(ends))
        ends[lane:] = [bar.end, *ends[lane + 1 :]]
        places.append((bar.worker, lane))
    rows = [(w, lane) for w in sorted(lanes, key=_natural) for lane in range(len(lanes[w]))]
    index = {place: row for row, place in enumerate(rows)}
    return [worker for worker, _ in rows], [index[place] for place in places]


def _natural(name: str) -> list[tuple[int, str]]:
    """Sorts names with numbers by the numbers: host 9 before host 10."""
    parts = re.findall(r"\d+|\D+", name)
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]
