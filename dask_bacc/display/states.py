"""What can be said of chunks beyond their states."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dask_bacc.cluster.stragglers import Patience, late_chunks

if TYPE_CHECKING:
    from dask_bacc.cluster.report import RunReport


def late_now(report: RunReport) -> set[int]:
    """The chunks that are late as ``bacc.backup`` says, in a run that still waits for results."""
    if report.stopped is not None:
        return set()
    return late_chunks(report.chunks, report.seconds, Patience.configured())[0]
