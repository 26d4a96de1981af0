"""The loop of a run: take results as they come until it is time to decode."""

from __future__ import annotations

import asyncio
from typing import Any

from distributed import Client, Future

from dask_bacc.cluster.arrivals import Arrivals
from dask_bacc.cluster.policy import Stop, why_stop
from dask_bacc.cluster.report import Ledger
from dask_bacc.cluster.starts import unlisten
from dask_bacc.cluster.work import Work


async def consume(client: Client, name: str, futures: dict[int, Future[Any]], work: Work) -> Any:
    """Collect results, release what is left on the cluster, decode.

    Parameters
    ----------
    client : Client
        On whose event loop this coroutine runs.
    name : str
        Of the run.
    futures : dict of int to Future
        One per chunk; emptied, so that nothing keeps the results on the cluster.
    work : Work
        What is made of the results; its ledger is written as the run goes on.

    Raises
    ------
    DecodeError
        If the results give no answer.
    """
    ledger = work.ledger
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
        await asyncio.to_thread(work.release)
        work.notify()


async def _collect(client: Client, futures: dict[int, Future[Any]], work: Work) -> Stop:
    code, options, ledger = work.code, work.options, work.ledger

    def lane(chunk: int) -> str:
        # A chunk whose start is not known yet is fetched by itself.
        return ledger.records[chunk].worker or f"chunk {chunk}"

    async with Arrivals(client, futures, lane) as arrivals:
        while True:
            # Estimating takes a while; what has come meanwhile is taken in before the next time.
            while arrivals.ready():
                work.record(await arrivals.take())
            work.notify()
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
