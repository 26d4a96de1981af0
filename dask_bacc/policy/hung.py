"""Which chunks on workers that do not respond may still come."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from dask_bacc.records.chunk import ChunkRecord

#: Times the longest chunk that returned, for which one on an unresponsive worker is left to
#: itself.
LONGER = 1.5


def is_progressing(
    records: Sequence[ChunkRecord], chunk: int, responsive: Collection[str], now: float
) -> bool:
    """Whether a chunk is at a worker that responds, or has not run for so long.

    A worker does not respond either while a function holds the interpreter's lock.

    Parameters
    ----------
    records : sequence of ChunkRecord
    chunk : int
    responsive : collection of str
        Workers that respond.
    now : float
        Seconds since the run was submitted.

    Examples
    --------
    >>> done, slow = ChunkRecord("returned", "a", 0.0, 20.0), ChunkRecord("running", "b", 0.0)
    >>> is_progressing([done, slow], 1, {"a"}, 25.0), is_progressing([done, slow], 1, {"a"}, 35.0)
    (True, False)
    """
    record = records[chunk]
    if record.worker is None or record.started is None:
        return False
    if record.worker in responsive:
        return True
    seconds = [s for other in records if (s := other.seconds) is not None]
    return record.done is None and now - record.started < LONGER * max(seconds, default=0.0)
