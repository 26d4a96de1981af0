"""The loop of a run: take results as they come until it is time to decode."""

from __future__ import annotations

import asyncio
import math
from typing import Any

from distributed import Client, Future

from dask_bacc.cluster.arrivals import Arrivals, Outcome
from dask_bacc.cluster.combine import combine_results
from dask_bacc.cluster.errors import DecodeError
from dask_bacc.cluster.options import RunOptions
from dask_bacc.cluster.policy import Stop, why_stop
from dask_bacc.cluster.report import Ledger
from dask_bacc.cluster.solver import Solved, Solver
from dask_bacc.cluster.starts import unlisten
from dask_bacc.cluster.structure import FlatResult
from dask_bacc.cluster.task import ChunkResult
from dask_bacc.coding import Code, lost_blocks


async def consume(
    client: Client,
    name: str,
    futures: dict[int, Future[Any]],
    code: Code,
    options: RunOptions,
    ledger: Ledger,
) -> Any:
    """Collect results, release what is left on the cluster, decode.

    Parameters
    ----------
    client : Client
        On whose event loop this coroutine runs.
    name : str
        Of the run.
    futures : dict of int to Future
        One per chunk; emptied, so that nothing keeps the results on the cluster.
    code, options
        Of the run.
    ledger : Ledger
        Written as the run goes on.

    Raises
    ------
    DecodeError
        If the results give no answer.
    """
    work = _Work(code, options, ledger)
    try:
        try:
            ledger.stopped = await _collect(client, futures, work)
        finally:
            unlisten(client, name)
            await _release(client, futures, ledger)
        # Off the event loop, which must go on answering the scheduler.
        return await asyncio.to_thread(work.answer)
    finally:
        ledger.finished = ledger.elapsed


class _Work:
    """The results of a run and what is made of them, in threads other than the event loop's."""

    def __init__(self, code: Code, options: RunOptions, ledger: Ledger) -> None:
        self.code = code
        self.options = options
        self.ledger = ledger
        self._results: dict[int, FlatResult] = {}
        self._solver = Solver(code, options.decoder)
        self._solved: Solved | None = None

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

    def wants_estimate(self) -> bool:
        """Whether the error decides if the results that are in are good enough."""
        options = self.options
        return (
            options.decoder.estimates_error
            and math.isfinite(options.rtol)
            and len(self._results) >= options.enough
        )

    def solved(self) -> Solved:
        """The decoding matrices of all results that are in."""
        results = dict(self._results)
        if self._solved is None or len(self._solved.chunks) < len(results):
            self._solved = self._solver.solve(results, dict(self.options.sketches))
        return self._solved

    def accurate(self) -> bool:
        """Whether the estimated error is within the user's tolerance."""
        return self.solved().overall <= self.options.rtol

    def answer(self) -> Any:
        """Decode, or say why there is no answer."""
        options, ledger = self.options, self.ledger
        enough = len(self._results) >= options.enough
        # At the deadline the user takes what has come; short of it, too few is too few.
        if not self._results or (ledger.stopped is Stop.ENDED and not enough):
            raise no_answer(ledger, f"{options.enough} were needed")
        solved = self.solved()
        if lost := lost_blocks(solved.error):
            raise no_answer(ledger, f"blocks {', '.join(map(str, lost))} are lost")
        answer = combine_results(
            solved, self._results, options.combine, options.axis, options.dress
        )
        ledger.block_error = solved.error
        ledger.warning = self._warning(enough, solved.overall)
        return answer

    def _warning(self, enough: bool, error: float) -> str | None:
        options, ledger = self.options, self.ledger
        doubts = []
        if not enough and ledger.stopped is Stop.DEADLINE:
            doubts.append(
                f"decoded from {len(self._results)} results, fewer than enough={options.enough}, "
                f"because {options.deadline} s have passed"
            )
        if error > options.rtol:
            doubts.append(f"the estimate is above rtol={options.rtol:g}")
        return f"{'; '.join(doubts)}: {ledger.report().error_text}" if doubts else None


async def _collect(client: Client, futures: dict[int, Future[Any]], work: _Work) -> Stop:
    code, options, ledger = work.code, work.options, work.ledger

    def lane(chunk: int) -> str:
        # A chunk whose start is not known yet is fetched by itself.
        return ledger.records[chunk].worker or f"chunk {chunk}"

    async with Arrivals(client, futures, lane) as arrivals:
        while True:
            # Estimating takes a while; what has come meanwhile is taken in before the next time.
            while arrivals.ready():
                work.record(await arrivals.take())
            estimate = work.wants_estimate()
            reason = why_stop(
                code,
                options.decoder,
                returned=ledger.returned,
                outstanding=ledger.outstanding,
                enough=options.enough,
                accurate=not estimate,
                elapsed=ledger.elapsed,
                deadline=options.deadline,
            )
            if reason is not None:
                return reason
            if estimate and await asyncio.to_thread(work.accurate):
                return Stop.ENOUGH
            left = None if options.deadline is None else options.deadline - ledger.elapsed
            await arrivals.wait(left)


async def _release(client: Client, futures: dict[int, Future[Any]], ledger: Ledger) -> None:
    """Cancel what has not ended and let go of everything.

    Nothing here waits for the scheduler, so it is safe while the run itself is being cancelled.
    """
    leftovers = [chunk for chunk in futures if ledger.is_open(chunk)]
    for chunk in leftovers:
        ledger.end(chunk, "cancelled")
    if leftovers and client.status == "running":
        await client.cancel([futures[chunk] for chunk in leftovers], asynchronous=True)
    futures.clear()


def no_answer(ledger: Ledger, reason: str) -> DecodeError:
    """The error that says why, with the first exception of a chunk as its cause."""
    message = f"no answer: {len(ledger.returned)} of {ledger.n} chunks returned, and {reason}"
    report = ledger.report()
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
