"""The results of a run and what is made of them."""

from __future__ import annotations

import asyncio
import math
import pickle
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from distributed import Future

from dask_bacc.coding import Code, lost_blocks
from dask_bacc.coding.linear import rounding
from dask_bacc.graphs.decode import lazy_answer
from dask_bacc.graphs.local import lazy_copy
from dask_bacc.policy.options import RunOptions
from dask_bacc.policy.stop import Stop
from dask_bacc.records.errors import DecodeError, RefusedError, doubts, misfit, no_answer, refused
from dask_bacc.records.state import Ledger
from dask_bacc.results.combine import combine_results
from dask_bacc.results.result import FlatResult, Outline, join_axes
from dask_bacc.results.solutions import Solutions
from dask_bacc.results.solved import Solved
from dask_bacc.results.solver import Solver
from dask_bacc.runtime.decided import Decided, Partial
from dask_bacc.runtime.fetch import Outcome
from dask_bacc.runtime.inline import Ahead
from dask_bacc.worker.task import ChunkResult

#: Seconds for the last estimate of a run whose deadline has passed.
GRACE = 0.4


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
        #: whether the loop that collects results has taken its first step
        self.began = False
        #: whether the arrays of results are wanted here, however large
        self.gathering = False
        #: wakes the loop that collects results
        self.stir: Callable[[], None] = lambda: None
        #: takes in what comes after the answer, with ``cancel="keep"``
        self.refining: asyncio.Task[None] | None = None
        self._ahead = Ahead()
        #: of every chunk that returned, in order of arrival
        self._outlines: dict[int, Outline] = {}
        #: those that had returned and are to be fetched
        self._reopened: dict[int, Outline] = {}
        #: those that are here
        self._results: dict[int, FlatResult] = {}
        self._precision = options.precision
        #: when the answer is due, on the monotonic clock
        self._due = ledger.submitted + (math.inf if options.deadline is None else options.deadline)
        self._start_solver()
        # Held while solving; those who come meanwhile find it done.
        self._solving = threading.Lock()

    @property
    def count(self) -> int:
        """Number of results."""
        return len(self._outlines)

    @property
    def held(self) -> list[int]:
        """Chunks that returned and whose results are still on the workers."""
        if len(self._outlines) == len(self._results):
            return []
        return [chunk for chunk in self._outlines if chunk not in self._results]

    @property
    def kept(self) -> list[int]:
        """Chunks whose results are kept on the cluster: all, or none once all are here."""
        return list(self._outlines) if self.held else []

    def news(self, news: Mapping[str, Any]) -> None:
        """Enter what a chunk says of itself."""
        if news["state"] == "slow":
            self.options.sketches[news["chunk"]] = pickle.loads(news["ahead"])
            if self.wants_estimate():
                self.stir()
            return
        self.ledger.news(news["chunk"], news["worker"], news["state"], news["ago"])
        self._ahead.news(news)

    async def known(self, chunk: int, *, failed: bool) -> ChunkResult | None:
        """What to take for a result instead of fetching it; None to fetch it."""
        if chunk in self._reopened:
            return None
        ahead = await self._ahead.of(chunk, failed=failed)
        return None if ahead is None or (self.gathering and ahead.result is None) else ahead

    def gather(self) -> None:
        """From now on the arrays of results are wanted here."""
        self.gathering = True
        self.stir()

    def reopen(self) -> list[int]:
        """Count only what is here; the chunks whose results are to be fetched.

        Waits for who is solving, and nothing may be recorded meanwhile.
        """
        with self._solving:
            chunks = self.held
            for chunk in chunks:
                self._reopened[chunk] = self._outlines.pop(chunk)
                self.ledger.reopen(chunk)
            self._start_solver()
        return chunks

    def put_back(self, futures: Mapping[int, Future[Any]]) -> None:
        """Count once more what was to be fetched, has not come in time, and is still there."""
        for chunk, outline in self._reopened.items():
            if self.ledger.is_open(chunk) and futures[chunk].status == "finished":
                self._outlines[chunk] = outline
                self.ledger.returned.append(chunk)
                self.ledger.end(chunk, "returned")

    def record(self, outcome: Outcome) -> None:
        """Enter an outcome into the book; refuse a result that does not fit the others."""
        chunk, ledger = outcome.index, self.ledger
        if outcome.cancelled:
            ledger.end(chunk, "cancelled")
        elif outcome.exception is not None:
            ledger.erred[chunk] = outcome.exception
            ledger.end(chunk, "erred")
            if isinstance(outcome.exception, RefusedError):
                raise refused(ledger.report(), chunk, outcome.exception)
        else:
            brought: ChunkResult = outcome.value
            self._check_fits(chunk, brought.outline)
            if (coarsest := rounding(set(brought.outline.dtypes))) > self._precision:
                self._precision = coarsest
                self._start_solver()
            ledger.returned.append(chunk)
            ledger.end(chunk, "returned")
            # In this order: who finds the outline finds the result.
            if brought.result is not None:
                self._results[chunk] = brought.result
            self._outlines[chunk] = brought.outline
            if brought.sketches is not None:
                self.options.sketches[chunk] = brought.sketches

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
        # Rows are looked at where that says too little.
        return any(
            self._good_enough(thorough=False, rows=rows)
            and self._good_enough(thorough=True, rows=rows)
            for rows in (False, True)
        )

    def partial(self) -> Partial | None:
        """Decode what is in; None if some block has no answer yet, or the run has ended."""
        with self._solving:
            if not self._results:
                return None
            solved = self._solve(rows=True, until=max(self._due, time.monotonic() + GRACE))
            results = dict(self._results)
        if lost_blocks(solved.error) or not results.keys() >= set(solved.chunks):
            return None
        error = solved.overall
        return Partial(
            self.combined(solved, results),
            None if math.isnan(error) else error,
            None if math.isnan(error) else tuple(solved.error.tolist()),
            solved.count,
        )

    def final(self, answer: Any) -> Partial:
        """The answer with which the run ended."""
        report = self.ledger.report()
        return Partial(answer, report.error, report.block_error, len(report.returned))

    def decide(self) -> Solved:
        """How the results decode in the end, or say why there is no answer."""
        options, ledger = self.options, self.ledger
        if not self._outlines:
            raise no_answer(ledger.report(), f"{options.enough} were needed", options)
        with self._solving:
            until = max(self._due, time.monotonic() + GRACE)
            solved = self._solve(thorough=True, rows=False, until=until)
            poor = solved.overall > options.rtol
            solved = self._solve(thorough=True, rows=True, insist=poor, until=until)
        ledger.solved = solved
        enough = len(solved.chunks) >= options.enough
        # At the deadline the user takes what has come; short of it, too few is too few.
        if ledger.stopped is Stop.ENDED and not enough:
            raise no_answer(ledger.report(), f"{options.enough} were needed", options)
        if lost := lost_blocks(solved.error):
            raise no_answer(
                ledger.report(), f"blocks {', '.join(map(str, lost))} are lost", options
            )
        ledger.block_error = solved.error
        ledger.warning = doubts(ledger.report(), options, enough, solved.overall)
        return solved

    def combined(self, solved: Solved, results: dict[int, FlatResult] | None = None) -> Any:
        """The answer, by default from results that are all here."""
        found, options = self._results if results is None else results, self.options
        return combine_results(solved, found, options.joining, options.dress)

    def lazily(
        self,
        decided: Decided,
        name: str,
        futures: Mapping[int, Future[Any]],
    ) -> Any:
        """The answer as dask arrays, of the results' futures where they are not here."""
        joining = self.options.joining
        if not decided.held:
            layout = next(iter(self._outlines.values())).layout
            return lazy_copy(decided.answer, self.code.k, layout, joining)
        workers = {chunk: self.ledger.records[chunk].worker for chunk in decided.solved.chunks}
        return lazy_answer(name, decided.solved, self._outlines, futures, workers, joining)

    def release(self) -> None:
        """Let go of the results, of which the answer is made."""
        with self._solving:
            self._results = {}
            self._start_solver()

    def _start_solver(self) -> None:
        #: that of the options, for results of the precision of those that are in
        self.decoder = self.options.decoder.at_precision(self._precision)
        solver = Solver(
            self.code,
            self.decoder,
            self.options.joining,
            rounding=self.options.precision,
            replace=self.options.suspects == "replace",
        )
        self._solutions = Solutions(solver, self.ledger)

    def _good_enough(self, *, thorough: bool, rows: bool) -> bool:
        with self._solving:
            solved = self._solve(thorough=thorough, rows=rows, until=self._due)
        return len(solved.chunks) >= self.options.enough and (
            max(solved.overall, solved.alike) <= self.options.rtol
        )

    def _solve(
        self, *, thorough: bool = False, rows: bool, insist: bool = False, until: float
    ) -> Solved:
        """How all results that are in decode, perhaps row by row; while holding the lock."""
        outlines, sketches = dict(self._outlines), dict(self.options.sketches)
        if not rows:
            return self._solutions.by_blocks(outlines, sketches, thorough=thorough, until=until)
        return self._solutions.best(
            outlines,
            sketches,
            dict(self._results),
            thorough=thorough,
            insist=insist,
            until=until,
        )

    def _check_fits(self, chunk: int, outline: Outline) -> None:
        """Refuse a result of another structure than the first, or that cannot be joined."""
        first, expected = next(iter(self._outlines.items()), (chunk, outline))
        try:
            if not outline.matches(expected):
                raise misfit(self.ledger.report(), first, expected, chunk, outline)
            join_axes(outline.layout, self.options.joining)
        except (DecodeError, ValueError) as error:
            self.ledger.erred[chunk] = error
            self.ledger.end(chunk, "erred")
            raise
