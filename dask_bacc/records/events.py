"""What happens in a run, as typed records: kept in order, told to listeners, logged."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

logger = logging.getLogger("dask_bacc")


class Stop(StrEnum):
    """Why decoding started."""

    #: every block's own result is in, so nothing is estimated
    COMPLETE = "every block returned"
    #: enough results are in and every block has an answer that is good enough
    ENOUGH = "enough results"
    #: no chunk is outstanding any more
    ENDED = "all chunks ended"
    #: the deadline has passed
    DEADLINE = "deadline"


EventKind = Literal[
    "submitted",
    "backup",
    "copy",
    "started",
    "done",
    "lost",
    "returned",
    "erred",
    "cancelled",
    "decoded",
    "failed",
]

#: What follows a chunk's number, and comes before a worker's address, in one line of text.
_WORDS: dict[EventKind, tuple[str, str]] = {
    "backup": ("launched as a backup", "for"),
    "copy": ("launched once more", "beside"),
    "started": ("started", "on"),
    "done": ("done", "on"),
    "lost": ("lost", "with"),
    "returned": ("returned", "from"),
    "erred": ("erred", "on"),
    "cancelled": ("cancelled", "on"),
}


@dataclass(frozen=True, slots=True)
class RunEvent:
    """Something that happened in a run.

    Every chunk that is launched is named once, in ``"submitted"`` or by ``"backup"``, and ends
    once, as ``"returned"``, ``"erred"`` or ``"cancelled"``, or once more if its result is fetched
    later. Chunks whose data is lost are ``"cancelled"`` at once. A run ends with ``"decoded"`` or
    ``"failed"``.

    Examples
    --------
    >>> print(RunEvent("started", 0.25, chunk=3, worker="tcp://10.0.0.7:4000"))
    0.250 s: chunk 3 started on tcp://10.0.0.7:4000
    """

    #: ``"submitted"``: the run, with the chunks that were launched at once;
    #: ``"backup"``: a chunk is launched because others are late or fail;
    #: ``"copy"``: a chunk is launched once more while it runs, and what comes first counts;
    #: ``"started"``: a worker has begun with a chunk, for the first time or again;
    #: ``"done"``: that worker is through with it, and its result is on the way;
    #: ``"lost"``: a chunk must run again because its worker is gone, known when it starts again
    #: (or it raised and is retried on another worker);
    #: ``"returned"``, ``"erred"``, ``"cancelled"``: a chunk's outcome;
    #: ``"decoded"``: the run has its answer;
    #: ``"failed"``: the run ended without one, cancelled or with an error
    kind: EventKind
    #: when it was known here, in seconds since the run was submitted
    seconds: float
    #: the chunk; None for what happens to the whole run
    chunk: int | None = None
    #: address of the worker that had the chunk last; None if none had
    worker: str | None = None
    #: of ``"submitted"``: the chunks
    chunks: tuple[int, ...] = ()
    #: of ``"erred"``: what the chunk raised, or why its result could not be used
    exception: BaseException | None = None
    #: of ``"decoded"`` and ``"failed"``: why no more results were waited for; None if the run
    #: was cancelled or broke while it waited
    reason: Stop | None = None
    #: of ``"decoded"``: the error of the answer, as in `RunReport`
    error: float | None = None

    def __str__(self) -> str:
        return f"{self.seconds:.3f} s: {self._what()}"

    def _what(self) -> str:
        if self.kind == "submitted":
            return f"{len(self.chunks)} chunks submitted"
        if self.kind == "decoded":
            error = "not estimated" if self.error is None else f"{self.error:.2g}"
            return f"decoded ({self.reason}), error {error}"
        if self.kind == "failed":
            return f"no answer ({self.reason or 'given up'})"
        word, preposition = _WORDS[self.kind]
        text = f"chunk {self.chunk} {word}"
        if self.worker is not None:
            text += f" {preposition} {self.worker}"
        if self.exception is not None:
            # One line, whatever the message is.
            lines = str(self.exception).splitlines() or [""]
            text += f": {type(self.exception).__name__}: {lines[0]}"
        return text


class EventLog:
    """The events of a run in order; kept on the event loop, read from any thread.

    Parameters
    ----------
    name : str
        Name of the run in lines of the log.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._events: list[RunEvent] = []
        self._listeners: list[Listener] = []

    def add(self, event: RunEvent) -> None:
        """Keep an event, log it and tell everybody."""
        self._events.append(event)
        level = logging.INFO if event.chunk is None else logging.DEBUG
        if logger.isEnabledFor(level):
            logger.log(level, "%s: %s", self._name, event)
        if self._listeners:
            for listener in tuple(self._listeners):
                self._tell(listener, event)

    def listen(self, listener: Listener) -> None:
        """Tell the listener what has happened so far and, from now on, whatever happens."""
        # It is told in order even if what it does leads to new events.
        told = 0
        while told < len(self._events):
            self._tell(listener, self._events[told])
            told += 1
        if listener.active:
            self._listeners.append(listener)

    def all(self) -> tuple[RunEvent, ...]:
        """What has happened so far."""
        return tuple(self._events)

    def _tell(self, listener: Listener, event: RunEvent) -> None:
        if listener.active:
            try:
                listener.callback(event)
            except Exception:
                logger.exception("%s: dropped a callback that raised", self._name)
                listener.active = False
        if not listener.active and listener in self._listeners:
            self._listeners.remove(listener)


@dataclass(eq=False)
class Listener:
    """A callback, for as long as it is active."""

    callback: Callable[[RunEvent], object]
    active: bool = True

    def stop(self) -> None:
        """Tell it nothing more; from any thread."""
        self.active = False
