"""A picture of a run: chunks on a time axis, one row per worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dask_bacc.display.palette import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from dask_bacc.cluster.report import RunReport


def timeline(report: RunReport, ax: Axes | None = None) -> Axes:
    """Draw when each chunk ran on which worker and how it ended.

    Chunks that no worker had started are drawn in a row of their own.

    Parameters
    ----------
    report : RunReport
    ax : matplotlib.axes.Axes, optional
        By default those of a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> from dask_bacc import ChunkRecord, RunReport
    >>> chunks = (ChunkRecord("returned", "a", 0.0, 1.0), ChunkRecord("cancelled", ended=1.0))
    >>> report = RunReport(1, 2, (0,), (1,), {}, (1,), {}, "berrut", None, None, None, 1.0, chunks)
    >>> [tick.get_text() for tick in timeline(report).get_yticklabels()]
    ['a', 'not started']
    """
    from matplotlib import pyplot as plt
    from matplotlib.patches import Patch

    if ax is None:
        workers = {chunk.worker for chunk in report.chunks}
        _, ax = plt.subplots(figsize=(8, 1.6 + 0.36 * len(workers)), layout="constrained")
    rows = sorted({chunk.worker for chunk in report.chunks if chunk.worker})
    if any(chunk.worker is None for chunk in report.chunks):
        rows.append("not started")
    for index, chunk in enumerate(report.chunks):
        row = rows.index(chunk.worker or "not started")
        end = report.seconds if chunk.ended is None else chunk.ended
        start = end if chunk.started is None else chunk.started
        colour = COLOURS[chunk.state]
        if chunk.worker is None:
            # Nothing ran, so there is no bar: only the chunk's number, side by side with others.
            waiting = [i for i, other in enumerate(report.chunks) if other.worker is None]
            width = report.seconds / max(len(waiting), 12)
            start, end = waiting.index(index) * width, (waiting.index(index) + 1) * width
        ax.barh(row, end - start, left=start, height=0.7, color=colour.fill, edgecolor="white")
        ax.text((start + end) / 2, row, str(index), ha="center", va="center", color=colour.text)
    ax.axvline(report.seconds, color="black", linewidth=1, linestyle="--")
    ax.annotate(
        "answer",
        (report.seconds, 1),
        xytext=(3, 3),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        ha="right",
        fontsize=9,
    )
    ax.set_yticks(range(len(rows)), rows, fontsize=8)
    ax.invert_yaxis()
    ax.set_xlim(0, report.seconds * 1.02)
    ax.set_xlabel("seconds since submission; a bar is a chunk")
    present = [state for state in COLOURS if any(c.state == state for c in report.chunks)]
    ax.legend(
        handles=[Patch(color=COLOURS[state].fill, label=state) for state in present],
        loc="lower center",
        bbox_to_anchor=(0.5, 1.0),
        ncols=len(present),
        frameon=False,
    )
    ax.spines[["top", "right"]].set_visible(False)
    return ax
