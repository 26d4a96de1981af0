"""Who is late: pure functions of records and time."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from dask_bacc.records.chunk import ChunkRecord


@dataclass(frozen=True)
class Patience:
    """When a chunk is late: see `late_chunks`."""

    #: share of the chunks that must have returned before any is late, not counting backups that
    #: have not
    quantile: float
    #: multiple of that quantile of their durations after which a chunk is late
    multiple: float
    #: seconds before which no chunk is late
    minimum: float
    #: multiple of that quantile for which the newest attempt at a block is waited for, before the
    #: block is run once more on an idle worker; 0 for at once
    gate: float = 1.0
    #: attempts at blocks that are launched at most, for each block
    work: float = 2.0

    def __post_init__(self) -> None:
        if not 0 < self.quantile <= 1:
            raise ValueError(f"bacc.backup.quantile must be above 0, up to 1, got {self.quantile}")
        for name in ("multiple", "minimum", "gate", "work"):
            if not getattr(self, name) >= 0:
                value = getattr(self, name)
                raise ValueError(f"bacc.backup.{name} must be at least 0, got {value}")


def late_chunks(
    records: Sequence[ChunkRecord],
    now: float,
    patience: Patience,
    slow: Collection[str] = (),
    leaving: Collection[str] = (),
) -> tuple[set[int], float]:
    """The chunks that are late, and when the next one would be.

    A chunk is late when the newest attempt at it has run for longer than a multiple of a quantile
    of the durations so far, those of the chunks still running being taken for endless. A chunk
    that no worker has started is late when none was launched, started or ended for that long; one
    that is done, when its result takes longer than that and the same multiple of the longest that
    one took to come. What runs only on workers that were told to leave is late at once.

    Parameters
    ----------
    records : sequence of ChunkRecord
    now : float
        Seconds since the run was submitted.
    patience : Patience
    slow : collection of str
        Workers whose durations say nothing of those of others.
    leaving : collection of str
        Workers that were told to leave.

    Returns
    -------
    set of int, float
        The time is infinite while too few have returned.

    Examples
    --------
    >>> patience = Patience(quantile=0.5, multiple=2.0, minimum=0.1)
    >>> done, slow = ChunkRecord("returned", "a", 0.0, 1.0), ChunkRecord("running", "b", 0.0)
    >>> late_chunks([done, slow], 1.5, patience)
    (set(), 2.0)
    >>> late_chunks([done, slow], 2.5, patience)
    ({1}, inf)
    >>> late_chunks([done, slow], 0.5, patience, leaving={"b"})
    ({1}, inf)
    """
    left = {i for i, r in enumerate(records) if leaving and r.done is None and r.only_at(leaving)}
    if (limit := usual_limit(records, patience, slow)) is None:
        return left, math.inf
    moved = max(
        (
            time
            for record in records
            for time in (record.backup, record.started, record.ended)
            if time is not None
        ),
        default=0.0,
    )
    # Results that are large come one after the other, each later than the one before.
    fetching = max(
        (r.ended - r.done for r in records if r.seconds and r.ended and r.done), default=0
    )
    due = {}
    for chunk, record in enumerate(records):
        if record.state in ("running", "waiting"):
            newest = record.newest
            due[chunk] = (moved if newest is None else newest) + limit
            if record.done is not None:
                due[chunk] = record.done + max(limit, patience.multiple * fetching)
    late = left.union(chunk for chunk, time in due.items() if time <= now)
    return late, min((time for chunk, time in due.items() if chunk not in late), default=math.inf)


def usual_limit(
    records: Sequence[ChunkRecord], patience: Patience, slow: Collection[str] = ()
) -> float | None:
    """Seconds after which a chunk that has started is late; None while too few have returned."""
    usual = usual_duration(records, patience, slow)
    return None if usual is None else max(patience.minimum, patience.multiple * usual)


def usual_duration(
    records: Sequence[ChunkRecord], patience: Patience, slow: Collection[str] = ()
) -> float | None:
    """Seconds that a chunk takes as a rule; None while too few have returned."""
    fast = [record for record in records if record.worker not in slow]
    # Backups count once they return: who is late stays late when others are launched for him.
    counted = sum(
        record.state == "returned" or (record.state != "spare" and record.backup is None)
        for record in fast
    )
    durations = sorted(s for record in fast if (s := record.seconds) is not None)
    needed = max(math.ceil(patience.quantile * counted), 1)
    return None if len(durations) < needed else durations[needed - 1]
