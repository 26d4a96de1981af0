"""The loop of a run: take results as they come until it is time to decode."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from typing import Any

from distributed import Client, Future

from dask_bacc.cluster.arrivals import Arrivals
from dask_bacc.cluster.cleanup import briefly, look, release
from dask_bacc.cluster.launch import Launcher
from dask_bacc.cluster.policy import Stop, why_stop
from dask_bacc.cluster.rescue import LOOK_EVERY, Stuck, relaunch, stuck_chunks
from dask_bacc.cluster.stragglers import backups, late_chunks
from dask_bacc.cluster.watch import watch
from dask_bacc.cluster.work import Decided, Work

#: Looking for late chunks takes time in proportion to their number. That many times as long passes
#: before the next look.
SELDOM = 20.0


async def consume(client: Client, launcher: Launcher, work: Work) -> Decided:
    """Collect results, release what is left on the cluster, and decode what is all here.

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
    work.began = True
    ledger = work.ledger
    kept = False
    try:
        try:
            ledger.stopped = await _collect(
                client, launcher, work, launcher.futures, work.options.deadline
            )
            kept = work.options.cancel == "keep" and ledger.stopped is not Stop.COMPLETE
        finally:
            if not kept:
                await release(client, launcher, work, work.options.cancel, keep=work.kept)
        # Off the event loop, which must go on answering the scheduler.
        if work.held:
            return Decided(await asyncio.to_thread(work.decide), held=True)
        return await asyncio.to_thread(_answer, work)
    except BaseException:
        if kept:
            await release(client, launcher, work, "cancel")
            kept = False
        launcher.release()
        raise
    finally:
        ledger.finish()
        if kept:
            work.refining = asyncio.create_task(_refine(client, launcher, work))
            # What is cancelled before its first step never gets to clean up.
            try:
                await asyncio.sleep(0)
            except asyncio.CancelledError:
                work.refining.cancel()
                raise
        elif not work.held:
            await asyncio.to_thread(work.release)
        work.notify()


async def gather(client: Client, launcher: Launcher, work: Work) -> Decided:
    """Fetch the results that are still on the workers, and decode.

    The same rule as before says when enough of them are here: a worker that hangs by now keeps
    nobody waiting.
    """
    try:
        work.ledger.stopped = await _collect(client, launcher, work, {}, None)
        return await asyncio.to_thread(_answer, work)
    finally:
        await release(client, launcher, work, "cancel")
        await asyncio.to_thread(work.release)
        work.notify()


async def abandon(client: Client, launcher: Launcher, work: Work) -> None:
    """Clean up after a run that was cancelled before its first step."""
    if work.began:
        return
    await release(client, launcher, work, work.options.cancel)
    work.ledger.finish()
    work.notify()


def _answer(work: Work) -> Decided:
    solved = work.decide()
    return Decided(solved, work.combined(solved))


async def _refine(client: Client, launcher: Launcher, work: Work) -> None:
    """Take the results that come after the answer, until none is left to come."""
    ledger = work.ledger
    # Nothing here has a name of its own: the frame of what is cancelled lives on for a while.
    arrivals = Arrivals(
        client,
        {i: future for i, future in launcher.futures.items() if ledger.is_open(i)},
        ledger.lane,
        work.known,
    )
    try:
        async with arrivals:
            while ledger.outstanding:
                work.record(await arrivals.take())
                work.notify()
    finally:
        await release(client, launcher, work, "cancel")
        work.notify()


async def _collect(
    client: Client,
    launcher: Launcher,
    work: Work,
    futures: Mapping[int, Future[Any]],
    deadline: float | None,
) -> Stop:
    code, options, ledger = work.code, work.options, work.ledger
    looked, look_for_late = ledger.elapsed, 0.0
    async with Arrivals(client, futures, ledger.lane, work.known) as arrivals:
        work.stir = arrivals.stir
        while True:
            if work.gathering and work.held:
                arrivals.add(
                    {i: launcher.futures[i] for i in await asyncio.to_thread(work.reopen)}
                )
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
                deadline=deadline,
            )
            if reason not in (None, Stop.ENDED):
                return reason
            if estimate and await asyncio.to_thread(work.accurate):
                return Stop.ENOUGH
            due = math.inf if deadline is None else deadline
            if options.launch == "backup" and not arrivals.ready():
                begin = ledger.elapsed
                if begin < look_for_late:
                    await arrivals.wait(max(min(due, look_for_late) - begin, 0))
                    continue
                late, next_late = late_chunks(ledger.records, begin, options.patience)
                wanted = backups(code, ledger.records, late, options.enough)
                look_for_late = ledger.elapsed + SELDOM * (ledger.elapsed - begin)
                due = min(due, max(next_late, look_for_late))
                if wanted:
                    async with briefly(due - ledger.elapsed):
                        await look(client)
                    slow = [ledger.records[chunk].worker for chunk in late]
                    trusted = watch(client).trusted([worker for worker in slow if worker])
                    ledger.launch(wanted)
                    arrivals.add(await asyncio.to_thread(launcher.launch, wanted, trusted))
                    continue
            if arrivals.ready():
                continue
            if reason is not None:
                return reason
            look_at = max(looked, ledger.moved) + LOOK_EVERY
            if ledger.elapsed >= look_at:
                looked = ledger.elapsed
                stuck = Stuck()
                async with briefly(due - ledger.elapsed):
                    stuck = await stuck_chunks(client, launcher, ledger)
                if stuck.chunks:
                    await relaunch(client, launcher, ledger, arrivals, stuck)
                continue
            await arrivals.wait(max(min(due, look_at) - ledger.elapsed, 0))
