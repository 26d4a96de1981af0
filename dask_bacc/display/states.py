"""What can be said of chunks beyond their states."""

from __future__ import annotations

from dask_bacc.cluster.report import ChunkRecord, RunReport
from dask_bacc.cluster.stragglers import Patience, late_chunks


def late_now(report: RunReport) -> set[int]:
    """The chunks that are late as ``bacc.backup`` says, in a run that still waits for results."""
    if report.stopped is not None:
        return set()
    patience = Patience.configured()
    # Who is late stays late when backups are launched, although fewer have returned of all then.
    first = [
        chunk if chunk.backup is None or chunk.state == "returned" else ChunkRecord("spare")
        for chunk in report.chunks
    ]
    return (
        late_chunks(report.chunks, report.seconds, patience)[0]
        | late_chunks(first, report.seconds, patience)[0]
    )
