"""One chunk's way through a run."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any, Literal

#: A chunk, and the number of an attempt at it.
Attempted = tuple[int, int]

ChunkState = Literal["spare", "waiting", "running", "returned", "erred", "cancelled"]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One of several attempts at a chunk; times in seconds since the run was submitted."""

    #: 0 for the first, and counted from there
    number: int
    #: when it was launched
    launched: float
    #: address of the worker that started it last
    worker: str | None = None
    #: when that worker started it, and was through with it
    started: float | None = None
    done: float | None = None
    #: when it was given up, or its failure was known here
    ended: float | None = None


@dataclass(frozen=True, slots=True)
class ChunkRecord:
    """One chunk's way through a run; times in seconds since the run was submitted.

    Of several attempts at it, the one that returned, or that has run for longest.
    """

    #: ``"spare"`` for a parity chunk that is not launched unless needed; ``"waiting"``,
    #: ``"running"``, ``"returned"``, ``"erred"`` or ``"cancelled"``
    state: ChunkState = "waiting"
    #: address of the worker that started it last
    worker: str | None = None
    #: when that worker started it
    started: float | None = None
    #: when its outcome was known here, or when it was cancelled
    ended: float | None = None
    #: when that worker was through with it
    done: float | None = None
    #: when it was launched because others were late or failed; None if it was launched at once
    backup: float | None = None
    #: number of the attempt that is told of here; 0 for the first
    attempt: int = 0
    #: the others
    others: tuple[Attempt, ...] = ()

    @property
    def is_open(self) -> bool:
        """Whether it may still return."""
        return self.state in ("waiting", "running")

    @property
    def going_on(self) -> tuple[int, ...]:
        """Numbers of the attempts that may still return."""
        if not self.is_open:
            return ()
        if not self.others:
            return (self.attempt,)
        return (self.attempt, *(other.number for other in self.others if other.ended is None))

    @property
    def workers(self) -> set[str]:
        """Workers that have been at it, and may still be."""
        found = {self.worker, *(other.worker for other in self.others)}
        return {worker for worker in found if worker is not None}

    @property
    def tried(self) -> tuple[tuple[int, Attempt | ChunkRecord], ...]:
        """All attempts with their numbers; the one that is told of here comes first."""
        return (self.attempt, self), *((other.number, other) for other in self.others)

    def others_at(self, workers: Collection[str]) -> bool:
        """Whether another attempt than the one told of here runs on one of the workers."""
        return any(o.ended is None and o.worker in workers for o in self.others)

    def only_at(self, workers: Collection[str]) -> bool:
        """Whether all attempts that may still return run on these workers."""
        attempts = (self.attempt_at(number) for number in self.going_on)
        return self.is_open and all(a is not None and a.worker in workers for a in attempts)

    @property
    def newest(self) -> float | None:
        """When the attempt that was launched last was started, or launched if it was not.

        None of a chunk with one attempt that no worker has started.
        """
        number = max(self.going_on, default=self.attempt)
        if number == self.attempt:
            return self.started
        other = self.attempt_at(number)
        assert other is not None
        return other.launched if other.started is None else other.started

    def attempt_at(self, number: int) -> Attempt | None:
        """What is known of an attempt; None if there is none of this number."""
        if number == self.attempt:
            launched = self.backup or 0.0
            return Attempt(number, launched, self.worker, self.started, self.done)
        return next((other for other in self.others if other.number == number), None)

    def copied(self, now: float) -> ChunkRecord:
        """The same with one more attempt."""
        number = 1 + max([self.attempt, *(other.number for other in self.others)])
        return replace(self, others=(*self.others, Attempt(number, launched=now)))

    def knowing(self, number: int, **known: Any) -> ChunkRecord:
        """The same with something new of an attempt."""
        if number == self.attempt:
            return replace(self, **known)
        others = (replace(o, **known) if o.number == number else o for o in self.others)
        return replace(self, others=tuple(others))

    def telling_of(self, number: int) -> ChunkRecord:
        """The same, with another attempt as the one that counts."""
        if number == self.attempt:
            return self
        before, chosen = self.attempt_at(self.attempt), self.attempt_at(number)
        assert before is not None
        assert chosen is not None
        return replace(
            self,
            state="waiting" if chosen.started is None else "running",
            worker=chosen.worker,
            started=chosen.started,
            done=chosen.done,
            attempt=number,
            others=(before, *(other for other in self.others if other.number != number)),
        )

    @property
    def seconds(self) -> float | None:
        """How long its worker took for it, or for lack of its word, until it was here."""
        end = self.done if self.done is not None else self.ended
        if self.state != "returned" or end is None or self.started is None:
            return None
        return end - self.started
