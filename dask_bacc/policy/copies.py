"""Which blocks to run once more while they run: a pure function of records and time."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from dask_bacc.coding import Code
from dask_bacc.policy.lateness import Patience, usual_duration
from dask_bacc.records.chunk import ChunkRecord


def copies(
    code: Code,
    records: Sequence[ChunkRecord],
    now: float,
    patience: Patience,
    slow: Collection[str] = (),
    leaving: Collection[str] = (),
) -> tuple[list[int], float]:
    """The chunks to launch once more now, and when the next one would be due.

    A copy of a block is exact, whatever the function. A block's newest attempt has a multiple of
    the usual duration, `patience.gate`; after that another one may start, and at once where all
    are on workers that were told to leave. Those blocks come first
    that have the fewest attempts, and of these the ones that wait longest. One more than
    `patience.work` are the most that a block gets.

    Parameters
    ----------
    code : Code
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
    list of int, float
        No more than `patience.work` allows; the time is infinite if there is nothing to wait for.

    Examples
    --------
    >>> from dask_bacc import coding
    >>> patience = Patience(quantile=0.5, multiple=1.5, minimum=0.1, gate=1.0, work=2.0)
    >>> done, slow = ChunkRecord("returned", "a", 0.0, 1.0), ChunkRecord("running", "b", 0.0)
    >>> copies(coding.Uncoded(2, 2), [done, slow], 0.5, patience)
    ([], 1.0)
    >>> copies(coding.Uncoded(2, 2), [done, slow], 1.5, patience)
    ([1], inf)
    >>> copies(coding.Uncoded(2, 2), [done, slow], 0.5, patience, leaving={"b"})
    ([1], inf)
    """
    limit = 0.0
    if patience.gate > 0:
        usual = usual_duration(records, patience, slow)
        limit = math.inf if usual is None else max(patience.minimum, patience.gate * usual)
        if usual is None and not leaving:
            return [], math.inf
    own = code.own_blocks
    there = {int(own[i]) for i, r in enumerate(records) if r.state == "returned" and own[i] >= 0}
    open_blocks = {
        chunk: record
        for chunk, record in enumerate(records)
        # What is done is on its way, or waits to be fetched.
        if record.is_open and record.done is None
        if own[chunk] >= 0 and int(own[chunk]) not in there
        # Who has had so many may be at something that never ends, and would take all workers.
        if len(record.others) < math.ceil(patience.work)
    }
    moved = max((r.ended for r in records if r.ended is not None), default=0.0)
    # As long as blocks wait for a worker, idle ones are for these.
    waiting = {chunk for chunk, record in open_blocks.items() if record.newest is None}
    due = {}
    for chunk, record in open_blocks.items():
        newest = record.newest
        if leaving and record.only_at(leaving):
            due[chunk] = now
        elif newest is None and limit == math.inf:
            continue
        elif newest is None:
            due[chunk] = moved + patience.minimum
        elif not waiting:
            due[chunk] = newest + limit
    launched = sum(1 + len(r.others) for i, r in enumerate(records) if own[i] >= 0)
    left = max(math.floor(patience.work * code.k) - launched, 0)
    ready = sorted(
        (chunk for chunk, time in due.items() if time <= now),
        key=lambda chunk: (len(records[chunk].others), due[chunk]),
    )
    if left == 0:
        return [], math.inf
    later = min((time for time in due.values() if time > now), default=math.inf)
    return ready[:left], later
