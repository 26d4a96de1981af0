"""The loop of a run: take results as they come until it is time to decode."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Mapping
from typing import Any

from distributed import Client, Future

from dask_bacc.policy.backups import backups, late_chunks
from dask_bacc.policy.stop import Stop, is_complete, why_stop
from dask_bacc.records.errors import DecodeError
from dask_bacc.runtime.decided import Decided
from dask_bacc.runtime.fetch import Arrivals
from dask_bacc.runtime.launcher import Launcher
from dask_bacc.runtime.monitor import watch
from dask_bacc.runtime.recover import (
    HUNG_AFTER,
    LOOK_EVERY,
    Stuck,
    give_up,
    relaunch,
    stuck_chunks,
)
from dask_bacc.runtime.release import briefly, look, release
from dask_bacc.runtime.work import Work

#: Where chunks end together, the blocks' own results make estimates needless: they wait until
#: nothing has come for this share of the run's time, and not for longer than that share of it.
CALM, CALM_AT_MOST = 0.01, 0.05
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
            if ledger.stopped is Stop.DEADLINE:
                work.put_back(launcher.futures)
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
        try:
            if not kept and not work.held:
                await asyncio.to_thread(work.release)
        finally:
            work.notify()


async def gather(client: Client, launcher: Launcher, work: Work) -> Decided:
    """Fetch the results that are still on the workers, and decode.

    The same rule as before says when enough of them are here: a worker that hangs by now keeps
    nobody waiting. If the run has a deadline, this may take as long as the run might.
    """
    ledger, deadline = work.ledger, work.options.deadline
    before = ledger.stopped
    until = None if deadline is None else ledger.elapsed + max(deadline, HUNG_AFTER)
    watch(client).listen(launcher.name, work.news)
    try:
        reason = await _collect(client, launcher, work, {}, until)
        # What a deadline had to do with does.
        done = before is Stop.DEADLINE and reason is Stop.ENDED
        ledger.stopped = before if done else reason
        return await asyncio.to_thread(_answer, work)
    finally:
        await release(client, launcher, work, "cancel")
        try:
            await asyncio.to_thread(work.release)
        finally:
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
                # What does not fit goes into the book, and the answer is there already.
                with contextlib.suppress(DecodeError):
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
    begin = looked = came = ledger.elapsed
    look_for_late, estimate_by = 0.0, math.inf
    async with Arrivals(client, futures, ledger.lane, work.known) as arrivals:
        work.stir = arrivals.stir
        while True:
            if work.gathering and work.held:
                arrivals.add(
                    {i: launcher.futures[i] for i in await asyncio.to_thread(work.reopen)}
                )
            # Estimating takes a while; what has come meanwhile is taken in before the next time.
            given_up = []
            while arrivals.ready():
                outcome = await arrivals.take()
                if not ledger.is_open(outcome.index):
                    continue
                if outcome.cancelled:
                    given_up.append(outcome.index)
                else:
                    work.record(outcome)
                came = ledger.elapsed
            if given_up:
                await give_up(client, launcher, ledger, arrivals, given_up)
            work.notify()
            estimate = work.wants_estimate()
            reason = why_stop(
                code,
                work.decoder,
                returned=ledger.returned,
                outstanding=ledger.outstanding,
                enough=options.enough,
                accurate=not estimate,
                elapsed=ledger.elapsed,
                deadline=deadline,
            )
            if reason not in (None, Stop.ENDED):
                return reason
            due = math.inf if deadline is None else deadline
            if estimate:
                estimate_by = min(estimate_by, came + CALM_AT_MOST * (came - begin))
                calm = min(due, came + CALM * (came - begin), estimate_by)
                if reason is None and ledger.elapsed < calm:
                    await arrivals.wait(calm - ledger.elapsed)
                    continue
                if await asyncio.to_thread(work.accurate):
                    if is_complete(code, [*ledger.returned, *arrivals.ready_results()]):
                        continue
                    return Stop.ENOUGH
            backup = options.launch == "backup" and ledger.stopped is not Stop.DEADLINE
            if backup and client.status == "running" and not arrivals.ready():
                now = ledger.elapsed
                if now < look_for_late:
                    await arrivals.wait(max(min(due, look_for_late) - now, 0))
                    continue
                late, next_late = late_chunks(ledger.records, now, options.patience)
                wanted = backups(code, ledger.records, late, options.enough)
                look_for_late = ledger.elapsed + SELDOM * (ledger.elapsed - now)
                due = min(due, max(next_late, look_for_late))
                if wanted:
                    async with briefly(due - ledger.elapsed):
                        await look(client)
                    slow = [ledger.records[chunk].worker for chunk in late]
                    trusted = watch(client).trusted([worker for worker in slow if worker])
                    ledger.launch(wanted)
                    lost = launcher.lost().intersection(wanted)
                    ledger.give_up(lost)
                    left = [chunk for chunk in wanted if chunk not in lost]
                    arrivals.add(await asyncio.to_thread(launcher.launch, left, trusted))
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
