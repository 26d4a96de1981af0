"""The book that a run keeps while it goes on."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from dask_bacc.coding._typing import FloatArray
from dask_bacc.policy.stop import Stop
from dask_bacc.records.events import EventKind, EventLog, RunEvent
from dask_bacc.records.report import ChunkRecord, RunReport
from dask_bacc.results.solved import Solved


@dataclass
class Ledger:
    """The book that a run keeps; written on the event loop, read from any thread."""

    k: int
    n: int
    decoder: str
    #: name of the run in the log
    name: str = "run"
    #: monotonic time of submission
    submitted: float = field(default_factory=time.monotonic)
    records: list[ChunkRecord] = field(init=False)
    #: what happened, in order
    events: EventLog = field(init=False)
    #: chunks whose results are in, in order of arrival
    returned: list[int] = field(default_factory=list)
    erred: dict[int, BaseException] = field(default_factory=dict)
    stopped: Stop | None = None
    #: seconds from submission to the answer
    finished: float | None = None
    #: what the user must be told with the answer
    warning: str | None = None
    #: ``(k,)`` errors of the answer
    block_error: FloatArray | None = None
    #: how the results decode
    solved: Solved | None = None
    #: seconds spent on that
    solving: float = 0.0
    #: number of chunks that may still return
    outstanding: int = field(init=False)
    #: when a chunk was launched, started or ended last, in seconds since submission
    moved: float = 0.0

    def __post_init__(self) -> None:
        self.records = [ChunkRecord() for _ in range(self.n)]
        self.outstanding = self.n
        self.events = EventLog(self.name)

    @property
    def elapsed(self) -> float:
        """Seconds since submission."""
        return time.monotonic() - self.submitted

    def lane(self, chunk: int) -> str:
        """Whose results to fetch with the chunk's: its worker's; its own if that is not known."""
        return self.records[chunk].worker or f"chunk {chunk}"

    def is_open(self, chunk: int) -> bool:
        """Whether the chunk may still return."""
        return self.records[chunk].state in ("waiting", "running")

    def spare(self, chunks: Iterable[int]) -> None:
        """These chunks are not launched for now."""
        for chunk in chunks:
            self.records[chunk] = ChunkRecord("spare")
            self.outstanding -= 1

    def submit(self, chunks: Iterable[int]) -> None:
        """The run is submitted with these chunks."""
        self.events.add(RunEvent("submitted", self.elapsed, chunks=tuple(chunks)))

    def give_up(self, chunks: Iterable[int]) -> None:
        """These chunks cannot be had."""
        for chunk in chunks:
            self.end(chunk, "cancelled")

    def launch(self, chunks: Iterable[int]) -> None:
        """These chunks are launched after all, or launched again under new keys."""
        now = self.moved = self.elapsed
        for chunk in chunks:
            record = self.records[chunk]
            if record.state == "spare":
                self.records[chunk] = ChunkRecord(backup=now)
                self.outstanding += 1
                self._event("backup", chunk, now)
            else:
                self._event("lost", chunk, now)
                self.records[chunk] = ChunkRecord(backup=record.backup)

    def news(self, chunk: int, worker: str, state: str, ago: float = 0.0) -> None:
        """A worker has started the chunk, for the first time or again, or is through with it.

        That was `ago` seconds before it said so.
        """
        record, now = self.records[chunk], self.elapsed
        then = max(now - ago, 0.0)
        if not self.is_open(chunk):
            if state == "done" and record.done is None and worker == record.worker:
                self.records[chunk] = replace(record, done=then)
            return
        if state == "done":
            # Another worker may have been given the chunk meanwhile.
            if worker == record.worker:
                self.records[chunk] = replace(record, done=then)
                self._event("done", chunk, now)
            return
        # A worker that had ended it and starts it again is alive, and retries what raised.
        if record.started is not None and (record.done is None or record.worker != worker):
            self._event("lost", chunk, now)
        self.records[chunk] = ChunkRecord("running", worker, started=then, backup=record.backup)
        self.moved = now
        self._event("started", chunk, now)

    def reopen(self, chunk: int) -> None:
        """A result that had returned is to be had again."""
        self.returned.remove(chunk)
        self.outstanding += 1
        self.records[chunk] = replace(self.records[chunk], state="running", ended=None)

    def end(self, chunk: int, state: Literal["returned", "erred", "cancelled"]) -> None:
        """The chunk's outcome is known."""
        now = self.moved = self.elapsed
        self.outstanding -= self.is_open(chunk)
        self.records[chunk] = replace(self.records[chunk], state=state, ended=now)
        exception = self.erred.get(chunk) if state == "erred" else None
        self._event(state, chunk, now, exception)

    def finish(self) -> None:
        """The run is over, with an answer or without."""
        self.finished = self.elapsed
        kind: EventKind = "failed" if self.block_error is None else "decoded"
        self.events.add(RunEvent(kind, self.finished, reason=self.stopped, error=self.error))

    @property
    def error(self) -> float | None:
        """Error of the whole answer; None if there is none or it is not estimated."""
        errors, solved = self.block_error, self.solved
        if errors is None or solved is None or not np.isfinite(errors).all():
            return None
        return solved.overall

    def _event(
        self, kind: EventKind, chunk: int, now: float, exception: BaseException | None = None
    ) -> None:
        worker = self.records[chunk].worker
        self.events.add(RunEvent(kind, now, chunk, worker, exception=exception))

    def report(self) -> RunReport:
        """How things stand."""
        records = tuple(self.records)
        returned = tuple(self.returned)
        cancelled = [i for i, record in enumerate(records) if record.state == "cancelled"]
        errors, solved, error = self.block_error, self.solved, self.error
        return RunReport(
            k=self.k,
            n=self.n,
            returned=returned,
            missing=tuple(
                i for i, record in enumerate(records) if record.state not in ("returned", "spare")
            ),
            erred=dict(self.erred),
            cancelled=tuple(cancelled),
            still_running={
                i: worker
                for i in cancelled
                if records[i].done is None and (worker := records[i].worker) is not None
            },
            decoder=self.decoder,
            error=error,
            block_error=None if error is None or errors is None else tuple(errors.tolist()),
            kernel=", ".join(solved.kernels) or None if solved else None,
            noise=solved.noise if solved else 0.0,
            suspects=solved.suspects if solved else (),
            solving=self.solving,
            stopped=self.stopped,
            seconds=self.elapsed if self.finished is None else self.finished,
            chunks=records,
            events=self.events.all(),
        )
