"""Progress of a run while it goes on: a line in a terminal, a grid of chunks in a notebook."""

from __future__ import annotations

import asyncio
import concurrent.futures
import shutil
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, TextIO

from distributed.utils import is_kernel

from dask_bacc.display.html import run_html
from dask_bacc.display.line import progress_line
from dask_bacc.run import CodedRun, report_of
from dask_bacc.runtime.answer import Answer

#: Seconds between two looks at a run; in a notebook there are longer ones for many chunks.
INTERVAL, NOTEBOOK_INTERVAL, PER_CHUNK = 0.1, 0.25, 5e-4
#: Seconds that the state of a run which has ended is waited for.
CLOSING = 1.0


def progress(
    run: CodedRun[Any], *, notebook: bool | None = None, file: TextIO | None = None
) -> Any:
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
    # The run itself is not held on to: dropping it cancels it, looked at or not.
    answer = run._answer
    watched = _Watched(answer)
    if notebook:
        draw = _cell(answer)
        interval = max(NOTEBOOK_INTERVAL, PER_CHUNK * answer.run.code.n)
        threading.Thread(
            target=_follow, args=(watched, draw, interval), name="bacc-progress", daemon=True
        ).start()
        return None
    draw = _line(answer, sys.stdout if file is None else file)
    if run._client.asynchronous:
        return _follow_async(watched, draw)
    return _follow(watched, draw, INTERVAL)


#: Draws a run of this status.
Draw = Callable[[str], None]


def _line(answer: Answer, file: TextIO) -> Draw:
    live = file.isatty()
    length = 0

    def draw(status: str) -> None:
        nonlocal length
        ended = status != "pending"
        if not (live or ended):
            return
        room = shutil.get_terminal_size().columns - 1
        # The last line may wrap: nothing is written over it, and its end matters most.
        line = progress_line(status, report_of(answer), None if ended else room)
        file.write(f"\r{line:<{length}}" if live else line)
        length = len(line)
        if ended:
            file.write("\n")
        file.flush()

    return draw


def _cell(answer: Answer) -> Draw:
    from IPython.display import HTML, display

    def shown(status: str) -> Any:
        return HTML(run_html(status, report_of(answer)))  # type: ignore[no-untyped-call]

    handle: Any = display(shown("pending"), display_id=True)  # type: ignore[no-untyped-call]

    def draw(status: str) -> None:
        handle.update(shown(status))

    return draw


class _Watched:
    """A run that is looked at."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self._ended: float | None = None

    def status(self) -> str:
        """Its status, once it has ended that of its state as well."""
        status = self.answer.status
        if status != "pending" and self.answer.run.state.finished is None:
            # A cancelled run closes its state a moment later, if its event loop is still there.
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
