"""A worker that is stopped and one that is slowed, really: their processes get signals."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator, Sequence

#: Seconds of a turn of a slowed process, and the share of it in which it runs.
TURN, SHARE = 0.1, 0.1


@contextlib.contextmanager
def in_trouble(stopped: Sequence[int], slowed: Sequence[int]) -> Iterator[None]:
    """Some processes stop for the time of the block, and some run for a tenth of it.

    Parameters
    ----------
    stopped, slowed : sequences of int
        Processes.
    """
    over = threading.Event()

    def slow() -> None:
        while not over.is_set():
            _signal(slowed, signal.SIGSTOP)
            over.wait((1 - SHARE) * TURN)
            _signal(slowed, signal.SIGCONT)
            over.wait(SHARE * TURN)

    thread = threading.Thread(target=slow, daemon=True)
    _signal(stopped, signal.SIGSTOP)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        _signal([*stopped, *slowed], signal.SIGCONT)


def _signal(processes: Sequence[int], which: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, which)
