"""How a run stands: which chunk is where, what has come, what is known of the answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from dask_bacc.records.chunk import Attempted, ChunkRecord
from dask_bacc.records.estimate import ErrorEstimate
from dask_bacc.records.events import EventKind, EventLog, RunEvent, Stop
from dask_bacc.records.report import RunReport


@dataclass
class RunState:
    """How a run stands; written by one thread, the event loop's, and read from any.

    Every way in which a chunk changes is one method, which keeps counts, records and events of one
    mind. Times are in seconds since the run was submitted.
    """

    k: int
    n: int
    decoder: str
    #: name of the run in the log
    name: str = "run"
    #: workers that were slow in runs before this one, with their times the usual duration
    slow: Mapping[str, float] = field(default_factory=dict)
    #: chunks that are mixed of several blocks
    mixed: tuple[int, ...] = ()
    #: gives the time; a simulation has its own
    clock: Callable[[], float] = time.monotonic
    #: when the run was submitted, by that clock
    submitted: float = field(init=False)
    records: list[ChunkRecord] = field(init=False)
    #: what happened, in order
    events: EventLog = field(init=False)
    #: chunks whose results are in, in order of arrival
    returned: list[int] = field(default_factory=list)
    #: of those, chunks with NaN or infinity
    not_finite: set[int] = field(default_factory=set)
    erred: dict[int, BaseException] = field(default_factory=dict)
    #: workers of attempts that are not wanted any more and may still run, by chunk and number
    still_running: dict[Attempted, str] = field(default_factory=dict)
    #: workers whose chunks have been started by others since
    lost_workers: set[str] = field(default_factory=set)
    #: workers that were not as they should be, with what was the matter last
    troubles: dict[str, str] = field(default_factory=dict)
    #: workers that were told to leave, and finish nothing that takes long
    leaving: set[str] = field(default_factory=set)
    #: number of chunks that may still return
    outstanding: int = field(init=False)
    #: when a chunk was launched, started or ended last
    moved: float = 0.0
    #: seconds that what workers say of chunks has waited there, at most
    news: float = 0.0
    stopped: Stop | None = None
    #: how far off the answer may be, once that is known
    estimate: ErrorEstimate | None = None
    #: whether there is an answer
    answered: bool = False
    #: what the user must be told with the answer
    warning: str | None = None
    #: seconds spent on decoding matrices and estimates
    solving: float = 0.0
    #: when the run ended
    finished: float | None = None

    def __post_init__(self) -> None:
        self.submitted = self.clock()
        self.records = [ChunkRecord() for _ in range(self.n)]
        self.outstanding = self.n
        self.events = EventLog(self.name)

    @property
    def elapsed(self) -> float:
        """Seconds since submission."""
        return self.clock() - self.submitted

    def is_open(self, chunk: int) -> bool:
        """Whether the chunk may still return."""
        return self.records[chunk].is_open

    def open_chunks(self) -> list[int]:
        """All that may still return."""
        return [chunk for chunk in range(self.n) if self.is_open(chunk)]

    def spare(self, chunks: Iterable[int]) -> None:
        """These chunks are not launched for now."""
        for chunk in chunks:
            self.records[chunk] = ChunkRecord("spare")
            self.outstanding -= 1

    def submit(self, chunks: Iterable[int]) -> None:
        """The run is submitted with these chunks."""
        self.events.add(RunEvent("submitted", self.elapsed, chunks=tuple(chunks)))

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
                self.records[chunk] = replace(
                    record, state="waiting", worker=None, started=None, done=None, ended=None
                )

    def copy(self, chunks: Iterable[int]) -> dict[int, int]:
        """These chunks are launched once more while they run; the numbers of the attempts."""
        now = self.moved = self.elapsed
        numbers = {}
        for chunk in chunks:
            self.records[chunk] = self.records[chunk].copied(now)
            numbers[chunk] = self.records[chunk].others[-1].number
            self._event("copy", chunk, now)
        return numbers

    def start(self, chunk: int, worker: str, ago: float = 0.0, attempt: int = 0) -> None:
        """A worker has started the chunk, for the first time or again, `ago` seconds before."""
        record, now = self.records[chunk], self.elapsed
        self.news = max(self.news, ago)
        # Of thousands of chunks hardly any has a second attempt.
        known = record if attempt == record.attempt else record.attempt_at(attempt)
        then = max(now - ago, 0.0)
        # What was taken from a worker meanwhile, or has come from another, runs on there.
        stale = known is not None and known.worker != worker and then < (known.started or 0.0)
        if known is None or attempt not in record.going_on or stale:
            if record.state == "cancelled" or (attempt, worker) != (record.attempt, record.worker):
                self.still_running[chunk, attempt] = worker
            return
        # A worker that had ended it and starts it again is alive, and retries what raised.
        if known.started is not None and (known.done is None or known.worker != worker):
            self._event("lost", chunk, now, worker=known.worker)
            if known.worker is not None:
                self.lost_workers.add(known.worker)
        if attempt == record.attempt:
            record = replace(
                record, state="running", worker=worker, started=then, done=None, ended=None
            )
        else:
            record = record.knowing(attempt, worker=worker, started=then, done=None)
        self.records[chunk], self.moved = record, now
        self._event("started", chunk, now, worker=worker)

    def done(self, chunk: int, worker: str, ago: float = 0.0, attempt: int = 0) -> None:
        """A worker is through with the chunk since `ago` seconds."""
        self.news = max(self.news, ago)
        if self.still_running.get((chunk, attempt)) == worker:
            del self.still_running[chunk, attempt]
        record, now = self.records[chunk], self.elapsed
        known = record if attempt == record.attempt else record.attempt_at(attempt)
        # Another worker may have been given the chunk meanwhile.
        if known is None or worker != known.worker or known.done is not None:
            return
        self.records[chunk] = record.knowing(attempt, done=max(now - ago, 0.0))
        if attempt in record.going_on:
            self._event("done", chunk, now, worker=worker)

    @property
    def workers(self) -> set[str]:
        """Workers that have been at a chunk."""
        return self.lost_workers.union(*(record.workers for record in self.records))

    def workers_left(self, workers: Collection[str]) -> None:
        """Only these workers are left."""
        self.still_running = {c: w for c, w in self.still_running.items() if w in workers}

    def take_result(self, chunk: int, attempt: int = 0, *, finite: bool = True) -> None:
        """The chunk's result is in, by one of the attempts at it."""
        self.returned.append(chunk)
        if not finite:
            self.not_finite.add(chunk)
        self.records[chunk] = self.records[chunk].telling_of(attempt)
        self._give_up_others(chunk)
        self._end(chunk, "returned")

    def take_error(self, chunk: int, exception: BaseException, attempt: int = 0) -> None:
        """The chunk raised, or its result cannot be used; others at it may still return."""
        if not self._lose(chunk, attempt):
            self.erred[chunk] = exception
            self._end(chunk, "erred")

    def lose(self, chunk: int, attempt: int = 0) -> None:
        """An attempt was cancelled on the cluster; others at the chunk may still return."""
        if not self._lose(chunk, attempt):
            self.give_up([chunk])

    def give_up(self, chunks: Iterable[int]) -> None:
        """These chunks cannot be had, or are not wanted any more."""
        for chunk in chunks:
            record = self.records[chunk]
            if record.worker is not None and record.done is None:
                self.still_running[chunk, record.attempt] = record.worker
            self._give_up_others(chunk)
            self._end(chunk, "cancelled")

    def attempted(self, chunk: int) -> Attempted:
        """The chunk, and the number of the attempt that its record tells of."""
        return chunk, self.records[chunk].attempt

    def refetch(self, chunks: Iterable[int]) -> None:
        """Results that had returned are to be had again."""
        for chunk in chunks:
            self.returned.remove(chunk)
            self.outstanding += 1
            self.records[chunk] = replace(self.records[chunk], state="running", ended=None)

    def finish(self) -> None:
        """The run is over, with an answer or without."""
        self.finished = self.elapsed
        kind: EventKind = "decoded" if self.answered else "failed"
        self.events.add(RunEvent(kind, self.finished, reason=self.stopped, error=self.error))

    def report(self) -> RunReport:
        """How things stand."""
        records = tuple(self.records)
        missing = [i for i, r in enumerate(records) if r.state not in ("returned", "spare")]
        estimate, known = self.estimate, self._of_answer
        return RunReport(
            k=self.k,
            n=self.n,
            returned=tuple(self.returned),
            missing=tuple(missing),
            erred=dict(self.erred),
            cancelled=tuple(i for i, r in enumerate(records) if r.state == "cancelled"),
            still_running={c: worker for (c, _), worker in sorted(self.still_running.items())},
            slow=dict(self.slow),
            troubles=dict(self.troubles),
            decoder=self.decoder,
            error=self.error,
            block_error=known.block_error if known else None,
            leaf_error=dict(known.by_leaf) if known else {},
            remembered=dict(known.remembered) if known else {},
            kernel=", ".join(estimate.kernels) or None if estimate else None,
            noise=estimate.noise if estimate else 0.0,
            suspects=estimate.suspects if estimate else (),
            not_finite=tuple(sorted(self.not_finite)),
            solving=self.solving,
            stopped=self.stopped,
            seconds=self.elapsed if self.finished is None else self.finished,
            chunks=records,
            mixed=self.mixed,
            events=self.events.all(),
        )

    @property
    def error(self) -> float | None:
        """Estimated error of the answer; None if there is no answer, or nothing tells it."""
        return known.error if (known := self._of_answer) else None

    @property
    def _of_answer(self) -> ErrorEstimate | None:
        """How far off the answer may be, if there is one."""
        return self.estimate if self.answered else None

    def _give_up_others(self, chunk: int) -> None:
        """Of a chunk that has ended, no other attempt is wanted any more."""
        record, now = self.records[chunk], self.elapsed
        for other in record.others:
            if other.ended is None:
                if other.worker is not None and other.done is None:
                    self.still_running[chunk, other.number] = other.worker
                self.records[chunk] = self.records[chunk].knowing(other.number, ended=now)

    def _lose(self, chunk: int, attempt: int) -> bool:
        """One of several attempts has failed; False if it was the only one."""
        record, now = self.records[chunk], self.elapsed
        left = [number for number in record.going_on if number != attempt]
        if not left:
            return False
        known = record.attempt_at(attempt)
        self._event("lost", chunk, now, worker=known.worker if known else None)
        if attempt == record.attempt:
            record = record.telling_of(min(left))
        self.records[chunk] = record.knowing(attempt, ended=now)
        return True

    def _end(self, chunk: int, state: EventKind) -> None:
        now = self.moved = self.elapsed
        self.outstanding -= self.is_open(chunk)
        assert state in ("returned", "erred", "cancelled")
        self.records[chunk] = replace(self.records[chunk], state=state, ended=now)
        self._event(state, chunk, now, self.erred.get(chunk) if state == "erred" else None)

    def _event(
        self,
        kind: EventKind,
        chunk: int,
        now: float,
        exception: BaseException | None = None,
        worker: str | None = None,
    ) -> None:
        worker = worker or self.records[chunk].worker
        self.events.add(RunEvent(kind, now, chunk, worker, exception=exception))
