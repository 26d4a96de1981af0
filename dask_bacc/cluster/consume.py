"""The loop of a run: take results as they come until it is time to decode."""

from __future__ import annotations

import asyncio
import contextlib
import math
from typing import Any

from distributed import Client

from dask_bacc.cluster.arrivals import Arrivals
from dask_bacc.cluster.cleanup import look, release
from dask_bacc.cluster.launch import Launcher
from dask_bacc.cluster.policy import Stop, why_stop
from dask_bacc.cluster.stragglers import backups, late_chunks
from dask_bacc.cluster.watch import watch
from dask_bacc.cluster.work import Work


async def consume(client: Client, launcher: Launcher, work: Work) -> Any:
    """Collect results, release what is left on the cluster, decode.

    Parameters
    ----------
    client : Client
        On whose event loop this coroutine runs.
    launcher : Launcher
        Of the run, with the chunks that were launched at once.
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
            ledger.stopped = await _collect(client, launcher, work)
        finally:
            await release(client, launcher, ledger, work.options.cancel)
        # Off the event loop, which must go on answering the scheduler.
        return await asyncio.to_thread(work.answer)
    finally:
        ledger.finish()
        await asyncio.to_thread(work.release)
        work.notify()


async def _collect(client: Client, launcher: Launcher, work: Work) -> Stop:
    code, options, ledger = work.code, work.options, work.ledger

    def lane(chunk: int) -> str:
        # A chunk whose start is not known yet is fetched by itself.
        return ledger.records[chunk].worker or f"chunk {chunk}"

    async with Arrivals(client, launcher.futures, lane) as arrivals:
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
            if reason not in (None, Stop.ENDED):
                return reason
            if estimate and await asyncio.to_thread(work.accurate):
                return Stop.ENOUGH
            due = math.inf if options.deadline is None else options.deadline
            if options.patience is not None and not arrivals.ready():
                late, next_late = late_chunks(ledger.records, ledger.elapsed, options.patience)
                due = min(due, next_late)
                if wanted := backups(code, ledger.records, late, options.enough):
                    with contextlib.suppress(OSError):  # while the scheduler is away
                        await look(client)
                    slow = [ledger.records[chunk].worker for chunk in late]
                    trusted = watch(client).trusted([worker for worker in slow if worker])
                    ledger.launch(wanted)
                    arrivals.add(await asyncio.to_thread(launcher.launch, wanted, trusted))
                    continue
            if reason is not None and not arrivals.ready():
                return reason
            await arrivals.wait(None if math.isinf(due) else max(due - ledger.elapsed, 0))
