"""A run in one line of text."""

from __future__ import annotations

from collections.abc import Sequence

from dask.utils import format_time

from dask_bacc.records.report import RunReport

#: Characters of the bar.
WIDTH = 40
#: How chunks are drawn in the bar, in this order.
MARKS = {
    "returned": "#",
    "erred": "x",
    "cancelled": "-",
    "running": ">",
    "waiting": ".",
    "spare": " ",
}


def progress_line(status: str, report: RunReport, columns: int | None = None) -> str:
    """One line that says how a run stands.

    Parameters
    ----------
    status : str
        As `CodedRun.status` has it.
    report : RunReport
    columns : int, optional
        Characters that there is room for; the bar shrinks first, then the end is cut.
    """
    states = [chunk.state for chunk in report.chunks]
    launched = report.n - states.count("spare")
    parts = [
        f"{len(report.returned)} returned / {launched} launched / {report.n}",
        format_time(report.seconds).strip(),
        *phase(status, report),
    ]
    backups = sum(chunk.backup is not None for chunk in report.chunks)
    late = len(report.late) if status == "pending" else 0
    if odd := [
        f"{count} {name}"
        for name, count in (
            ("late", late),
            ("backup" if backups == 1 else "backups", backups),
            ("erred", len(report.erred)),
            ("suspect", len(report.suspects)),
        )
        if count
    ]:
        parts.insert(1, ", ".join(odd))
    text = " | ".join(parts)
    if columns is None:
        return f"[{_bar(states, WIDTH)}] | {text}"
    width = min(WIDTH, columns - len(text) - len("[] | "))
    return f"[{_bar(states, width)}] | {text}" if width > 0 else text[: max(columns, 0)]


def phase(status: str, report: RunReport) -> list[str]:
    """What a run is at, or how it ended, and how far off its answer is.

    Parameters
    ----------
    status : str
        As `CodedRun.status` has it.
    report : RunReport
    """
    if status == "pending":
        at = report.state if report.stopped is None else f"decoding ({report.stopped})"
        return [at, f"estimated error so far {report.error:.2g}"] if report.error else [at]
    if status == "finished":
        if report.error:
            return [report.state, f"estimated error {report.error:.2g}"]
        return [report.state, report.error_text]
    return ["cancelled" if status == "cancelled" else f"no answer ({report.state})"]


def _bar(states: Sequence[str], width: int) -> str:
    """The states as marks, one a chunk if there is room, else in proportion."""
    width = min(width, len(states))
    bar = ""
    seen = 0
    for state, mark in MARKS.items():
        seen += states.count(state)
        bar += mark * (seen * width // len(states) - len(bar))
    return bar
