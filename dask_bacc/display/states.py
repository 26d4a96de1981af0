"""What can be said of chunks beyond their states."""

from __future__ import annotations

from dask_bacc.policy.backups import Patience, late_chunks
from dask_bacc.records.report import RunReport


def late_now(report: RunReport) -> set[int]:
    """The chunks that are late as ``bacc.backup`` says, in a run that still waits for results."""
    if report.stopped is not None:
        return set()
    late, _ = late_chunks(report.chunks, report.seconds, Patience.configured())
    return late
