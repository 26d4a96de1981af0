"""Progress of a run while it goes on: a line in a terminal, a grid of chunks in a notebook."""

from __future__ import annotations

import asyncio
import concurrent.futures
import shutil
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from dask.utils import format_time
from distributed.utils import is_kernel

from dask_bacc.display.states import late_now
from dask_bacc.run import CodedRun
from dask_bacc.runtime.answer import Answer

if TYPE_CHECKING:
    from dask_bacc.records.report import RunReport
    from dask_bacc.records.state import Ledger

#: Seconds between two looks at a run; in a notebook there are longer ones for many chunks.
INTERVAL, NOTEBOOK_INTERVAL, PER_CHUNK = 0.1, 0.25, 5e-4
#: Seconds that the book of a run which has ended is waited for.
CLOSING = 1.0
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


def progress(run: CodedRun, *, notebook: bool | None = None, file: TextIO | None = None) -> Any:
    """Show how a run goes on.

    In a terminal, one line that is rewritten until the run has ended: blocks until then, as
    ``distributed.progress`` does. ``#`` is a chunk that has returned, ``>`` one that runs, ``.``
    one that waits, ``x`` one that erred, ``-`` one that was cancelled. What the run raises,
    `CodedRun.result` raises.

    In a notebook, a grid of chunks in their states that is renewed until the run has ended: does
    not block.

    Parameters
    ----------
    run : CodedRun
    notebook : bool, optional
        Whether this is a notebook; by default it is found out.
    file : text stream, optional
        Where the line goes, by default ``sys.stdout``. One that is no terminal gets the last line
        only.

    Returns
    -------
    None or awaitable
        An awaitable in a terminal with an asynchronous client.

    Examples
    --------
    >>> import numpy as np
    >>> import dask_bacc
    >>> run = dask_bacc.encode(np.arange(12.0), k=3, n=5).map(np.tanh)
    >>> dask_bacc.progress(run)  # doctest: +ELLIPSIS
    [...] | ... returned / 5 launched / 5 | ...
    """
    if notebook is None:
        notebook = is_kernel()
    # Only the book is held on to: dropping the run cancels it, looked at or not.
    watched = _Watched(run._ledger, run._answer)
    if notebook:
        draw = _cell(watched.ledger)
        interval = max(NOTEBOOK_INTERVAL, PER_CHUNK * watched.ledger.n)
        threading.Thread(
            target=_follow, args=(watched, draw, interval), name="bacc-progress", daemon=True
        ).start()
        return None
    draw = _line(watched.ledger, sys.stdout if file is None else file)
    if run._client.asynchronous:
        return _follow_async(watched, draw)
    return _follow(watched, draw, INTERVAL)


#: Draws a run of this status.
Draw = Callable[[str], None]


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
        *_ending(status, report),
    ]
    backups = sum(chunk.backup is not None for chunk in report.chunks)
    late = len(late_now(report)) if status == "pending" else 0
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


def _ending(status: str, report: RunReport) -> list[str]:
    if status == "pending":
        return [report.state if report.stopped is None else f"decoding ({report.stopped})"]
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


def _line(ledger: Ledger, file: TextIO) -> Draw:
    live = file.isatty()
    length = 0

    def draw(status: str) -> None:
        nonlocal length
        ended = status != "pending"
        if not (live or ended):
            return
        room = shutil.get_terminal_size().columns - 1
        # The last line may wrap: nothing is written over it, and its end matters most.
        line = progress_line(status, ledger.report(), None if ended else room)
        file.write(f"\r{line:<{length}}" if live else line)
        length = len(line)
        if ended:
            file.write("\n")
        file.flush()

    return draw


def _cell(ledger: Ledger) -> Draw:
    from IPython.display import HTML, display

    from dask_bacc.display.html import run_html

    def shown(status: str) -> Any:
        return HTML(run_html(status, ledger.report()))  # type: ignore[no-untyped-call]

    handle: Any = display(shown("pending"), display_id=True)  # type: ignore[no-untyped-call]

    def draw(status: str) -> None:
        handle.update(shown(status))

    return draw


class _Watched:
    """A run that is looked at."""

    def __init__(self, ledger: Ledger, answer: Answer) -> None:
        self.ledger = ledger
        self.answer = answer
        self._ended: float | None = None

    def status(self) -> str:
        """Its status, once it has ended that of its book as well."""
        status = self.answer.status
        if status != "pending" and self.ledger.finished is None:
            # A cancelled run closes its book a moment later, if its event loop is still there.
            if self._ended is None:
                self._ended = time.monotonic()
            if time.monotonic() < self._ended + CLOSING:
                return "pending"
        return status


def _follow(watched: _Watched, draw: Draw, interval: float) -> None:
    while True:
        draw(status := watched.status())
        if status != "pending":
            return
        if watched.answer.decided.done():
            time.sleep(INTERVAL)
        else:
            concurrent.futures.wait([watched.answer.decided], interval)


async def _follow_async(watched: _Watched, draw: Draw) -> None:
    while True:
        draw(status := watched.status())
        if status != "pending":
            return
        await asyncio.sleep(INTERVAL)
