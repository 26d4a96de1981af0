"""The results of a run and what is made of them."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from dataclasses import dataclass
from typing import Any

from dask_bacc.cluster.arrivals import Outcome
from dask_bacc.cluster.combine import combine_results
from dask_bacc.cluster.errors import DecodeError
from dask_bacc.cluster.options import RunOptions
from dask_bacc.cluster.policy import Stop
from dask_bacc.cluster.report import Ledger
from dask_bacc.cluster.solver import Solved, Solver
from dask_bacc.cluster.structure import FlatResult
from dask_bacc.cluster.task import ChunkResult
from dask_bacc.coding import Code, lost_blocks


@dataclass(frozen=True, eq=False)
class Partial:
    """The answer as far as it goes."""

    #: what `CodedRun.result` would return
    answer: Any
    #: estimated error as in `RunReport.error`; None if the decoder estimates none
    error: float | None
    #: the same for every block
    block_error: tuple[float, ...] | None
    #: number of results it is made from
    returned: int


class Work:
    """The results of a run and what is made of them.

    Results are entered on the event loop; solving and decoding go on in other threads.
    """

    def __init__(self, code: Code, options: RunOptions, ledger: Ledger) -> None:
        self.code = code
        self.options = options
        self.ledger = ledger
        #: set, and replaced, when there is something new
        self.changed = asyncio.Event()
        self._results: dict[int, FlatResult] = {}
        self._solver = Solver(code, options.decoder)
        self._solved: Solved | None = None
        # Held while solving; those who come meanwhile find it done.
        self._solving = threading.Lock()

    @property
    def count(self) -> int:
        """Number of results."""
        return len(self._results)

    def record(self, outcome: Outcome) -> None:
        """Enter an outcome into the book; refuse a result that does not fit the others."""
        chunk, ledger = outcome.index, self.ledger
        if outcome.cancelled:
            ledger.end(chunk, "cancelled")
        elif outcome.exception is not None:
            ledger.erred[chunk] = outcome.exception
            ledger.end(chunk, "erred")
        else:
            brought: ChunkResult = outcome.value
            ledger.returned.append(chunk)
            ledger.end(chunk, "returned")
            self._results[chunk] = brought.result
            if brought.sketches is not None:
                self.options.sketches[chunk] = brought.sketches
            first = ledger.returned[0]
            if not brought.result.matches(self._results[first]):
                raise DecodeError(
                    "chunks returned results of different structure: "
                    f"chunk {first} {self._results[first]}, chunk {chunk} {brought.result}",
                    ledger.report(),
                )

    def notify(self) -> None:
        """Wake those who wait for a change."""
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()

    def wants_estimate(self) -> bool:
        """Whether the error decides if the results that are in are good enough."""
        options = self.options
        return (
            options.decoder.estimates_error
            and math.isfinite(options.rtol)
            and self.count >= options.enough
        )

    def accurate(self) -> bool:
        """Whether enough results are beyond suspicion and the estimated error is small enough."""
        # A quick look, and a thorough one only if that is promising.
        return self._good_enough(thorough=False) and self._good_enough(thorough=True)

    def partial(self) -> Partial | None:
        """Decode what is in; None if some block has no answer yet, or the run has ended."""
        if not self._results:
            return None
        solved, results = self._solve()
        if not results or lost_blocks(solved.error):
            return None
        error = solved.overall
        return Partial(
            self._combine(solved, results),
            None if math.isnan(error) else error,
            None if math.isnan(error) else tuple(solved.error.tolist()),
            len(results),
        )

    def final(self, answer: Any) -> Partial:
        """The answer with which the run ended."""
        report = self.ledger.report()
        return Partial(answer, report.error, report.block_error, len(report.returned))

    def answer(self) -> Any:
        """Decode, or say why there is no answer."""
        options, ledger = self.options, self.ledger
        if not self._results:
            raise no_answer(ledger, f"{options.enough} were needed")
        solved, results = self._solve(thorough=True)
        ledger.solved = solved
        enough = len(solved.chunks) >= options.enough
        # At the deadline the user takes what has come; short of it, too few is too few.
        if ledger.stopped is Stop.ENDED and not enough:
            raise no_answer(ledger, f"{options.enough} were needed")
        if lost := lost_blocks(solved.error):
            raise no_answer(ledger, f"blocks {', '.join(map(str, lost))} are lost")
        answer = self._combine(solved, results)
        ledger.block_error = solved.error
        ledger.warning = self._warning(enough, solved.overall)
        return answer

    def release(self) -> None:
        """Let go of the results, of which the answer is made."""
        with self._solving:
            self._results = {}
            self._solver = Solver(self.code, self.options.decoder)

    def _good_enough(self, *, thorough: bool) -> bool:
        solved, _ = self._solve(thorough=thorough)
        return len(solved.chunks) >= self.options.enough and solved.overall <= self.options.rtol

    def _solve(self, *, thorough: bool = False) -> tuple[Solved, dict[int, FlatResult]]:
        """The decoding matrices of all results that are in, and those results."""
        with self._solving:
            results = dict(self._results)
            solved = self._solved
            if solved is None or solved.count < len(results) or thorough > solved.thorough:
                begin = time.monotonic()
                solved = self._solver.solve(
                    results, dict(self.options.sketches), thorough=thorough
                )
                self._solved = solved
                self.ledger.solving += time.monotonic() - begin
            # While this thread waited for another one, more may have come.
            order = list(results)[: solved.count]
            return solved, {chunk: results[chunk] for chunk in order}

    def _combine(self, solved: Solved, results: dict[int, FlatResult]) -> Any:
        options = self.options
        return combine_results(solved, results, options.combine, options.axis, options.dress)

    def _warning(self, enough: bool, error: float) -> str | None:
        options, ledger = self.options, self.ledger
        doubts = []
        if not enough and ledger.stopped is Stop.DEADLINE:
            doubts.append(
                f"decoded from {self.count} results, fewer than enough={options.enough}, "
                f"because {options.deadline} s have passed"
            )
        if error > options.rtol:
            doubts.append(f"the estimate is above rtol={options.rtol:g}")
        return f"{'; '.join(doubts)}: {ledger.report().error_text}" if doubts else None


def no_answer(ledger: Ledger, reason: str) -> DecodeError:
    """The error that says why, with the first exception of a chunk as its cause."""
    message = f"no answer: {len(ledger.returned)} of {ledger.n} chunks returned, and {reason}"
    report = ledger.report()
    if report.suspects:
        message += f"; chunks {', '.join(map(str, report.suspects))} look corrupted"
    if ledger.stopped is Stop.ENDED and report.cancelled:
        message += (
            f"; the cluster gave up {len(report.cancelled)} chunks, as it does when the client "
            "closes, the scheduler is lost, or something they need was cancelled"
        )
    if not ledger.erred:
        return DecodeError(message, report)
    chunk, cause = next(iter(ledger.erred.items()))
    error = DecodeError(f"{message}; chunk {chunk} raised {type(cause).__name__}: {cause}", report)
    error.__cause__ = cause
    return error
