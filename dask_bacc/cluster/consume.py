"""The loop of a run: take results as they come until it is time to decode."""

from __future__ import annotations

import asyncio
from typing import Any

from distributed import Client, Future

from dask_bacc.cluster.arrivals import Arrivals, Outcome
from dask_bacc.cluster.combine import decode_results
from dask_bacc.cluster.errors import DecodeError
from dask_bacc.cluster.options import RunOptions
from dask_bacc.cluster.policy import Stop, why_stop
from dask_bacc.cluster.report import Ledger
from dask_bacc.cluster.starts import unlisten
from dask_bacc.cluster.structure import FlatResult
from dask_bacc.coding import Code, lost_blocks
from dask_bacc.coding.kriging.sketch import gram_of_sketches


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
    results: dict[int, FlatResult] = {}
    try:
        ledger.stopped = await _collect(client, futures, code, options, ledger, results)
    finally:
        unlisten(client, name)
        await _release(client, futures, ledger)
    # Off the event loop, which must go on answering the scheduler.
    return await asyncio.to_thread(_decode, code, options, ledger, results)


async def _collect(
    client: Client,
    futures: dict[int, Future[Any]],
    code: Code,
    options: RunOptions,
    ledger: Ledger,
    results: dict[int, FlatResult],
) -> Stop:
    def lane(chunk: int) -> str:
        # A chunk whose start is not known yet is fetched by itself.
        return ledger.records[chunk].worker or f"chunk {chunk}"

    async with Arrivals(client, futures, lane) as arrivals:
        while True:
            stop = why_stop(
                code,
                options.decoder,
                returned=ledger.returned,
                outstanding=ledger.outstanding,
                enough=options.enough,
                elapsed=ledger.elapsed,
                deadline=options.deadline,
            )
            if stop is not None:
                return stop
            left = None if options.deadline is None else options.deadline - ledger.elapsed
            if (outcome := await arrivals.next(left)) is not None:
                _record(ledger, results, outcome)
                if (brought := outcome.value) is not None and brought.sketches is not None:
                    options.sketches[outcome.index] = brought.sketches


def _record(ledger: Ledger, results: dict[int, FlatResult], outcome: Outcome) -> None:
    chunk = outcome.index
    if outcome.cancelled:
        ledger.end(chunk, "cancelled")
    elif outcome.exception is not None:
        ledger.erred[chunk] = outcome.exception
        ledger.end(chunk, "erred")
    else:
        ledger.returned.append(chunk)
        ledger.end(chunk, "returned")
        result: FlatResult = outcome.value.result
        results[chunk] = result
        first = ledger.returned[0]
        if not result.matches(results[first]):
            raise DecodeError(
                "chunks returned results of different structure: "
                f"chunk {first} {results[first]}, chunk {chunk} {result}",
                ledger.report(),
            )


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


def _decode(
    code: Code, options: RunOptions, ledger: Ledger, results: dict[int, FlatResult]
) -> Any:
    enough = len(results) >= options.enough
    # At the deadline the user takes what has come; short of it, too few is too few.
    if not results or (ledger.stopped is Stop.ENDED and not enough):
        raise _no_answer(ledger, f"{options.enough} were needed")
    gram = None
    if options.decoder.uses_gram:
        gram = gram_of_sketches(code, dict(options.sketches))
    answer, error = decode_results(
        code,
        options.decoder,
        results,
        options.combine,
        options.axis,
        options.dress,
        gram,
    )
    if lost := lost_blocks(error):
        raise _no_answer(ledger, f"blocks {', '.join(map(str, lost))} are lost")
    ledger.block_error = error
    ledger.finished = ledger.elapsed
    if not enough and ledger.stopped is Stop.DEADLINE:
        ledger.warning = (
            f"decoded from {len(results)} results, fewer than enough={options.enough}, "
            f"because {options.deadline} s have passed; {ledger.report().error_text}"
        )
    return answer


def _no_answer(ledger: Ledger, reason: str) -> DecodeError:
    ledger.finished = ledger.elapsed
    message = f"no answer: {len(ledger.returned)} of {ledger.n} chunks returned, and {reason}"
    report = ledger.report()
    if ledger.stopped is Stop.ENDED and report.cancelled:
        message += (
            f"; the cluster gave up {len(report.cancelled)} chunks, as it does when its client "
            "closes or its scheduler is lost"
        )
    if not ledger.erred:
        return DecodeError(message, report)
    chunk, cause = next(iter(ledger.erred.items()))
    error = DecodeError(f"{message}; chunk {chunk} raised {type(cause).__name__}: {cause}", report)
    error.__cause__ = cause
    return error
