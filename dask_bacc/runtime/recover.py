"""Chunks that do not come because workers hang or are taken: run once more, elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass

from dask_bacc.engine.scheduler import briefly, cancel_pending, is_open
from dask_bacc.engine.whereabouts import keys_awaited, keys_on, keys_processing
from dask_bacc.policy.hung import is_progressing
from dask_bacc.runtime.active import ActiveRun
from dask_bacc.runtime.fetch import Fetcher
from dask_bacc.runtime.troubles import note_troubles


@dataclass(frozen=True)
class Stuck:
    """Chunks to launch once more."""

    chunks: tuple[int, ...] = ()
    #: the only workers that may run them; none for any
    workers: tuple[str, ...] = ()
    #: whether what they are made of may be out of reach
    anew: bool = True


async def recover_stuck(run: ActiveRun, fetcher: Fetcher, seconds: float) -> None:
    """Launch once more what needs something of unresponsive workers, or waits for a thread.

    Parameters
    ----------
    run : ActiveRun
    fetcher : Fetcher
    seconds : float
        In which to find out what that is.
    """
    stuck = Stuck()
    async with briefly(seconds):
        monitor = run.monitor
        await monitor.refresh(run.client)
        note_troubles(run.state, monitor, run.options.timing.unresponsive_after)
        stuck = await _stuck_with_workers(run)
        if not stuck.chunks:
            stuck = await _queued(run)
    if stuck.chunks:
        await _relaunch(run, fetcher, stuck)


async def recover_given_up(run: ActiveRun, fetcher: Fetcher, chunks: Collection[int]) -> None:
    """Enter chunks that the cluster gave up; launch those once more that it need not have.

    When data is lost while a graph is on its way, the scheduler gives up all that is in it.
    """
    again: list[int] = []
    if is_open(run.client):
        attempts = [run.state.attempted(chunk) for chunk in chunks]
        again = await asyncio.to_thread(run.launcher.bystanders, attempts)
    run.state.give_up(chunk for chunk in chunks if chunk not in again)
    if again:
        available = tuple(run.monitor.available())
        await _relaunch(run, fetcher, Stuck(tuple(again), available))


async def _stuck_with_workers(run: ActiveRun) -> Stuck:
    """Chunks that need something of unresponsive workers, and can be had without.

    They run on such a worker, wait there, or need a block that is there, or that another worker is
    still fetching from there, perhaps for a run that is over. What is on the cluster without a
    graph to make it, such as a persisted array, cannot be made anew. Chunks that may run only on
    workers that are gone are among them.
    """
    monitor, state, launcher = run.monitor, run.state, run.launcher
    unresponsive = sorted(monitor.unresponsive(run.options.timing.unresponsive_after))
    responsive = monitor.workers.difference(unresponsive)
    waiting = [
        state.attempted(chunk)
        for chunk in state.open_chunks()
        if not state.records[chunk].others_at(responsive)
    ]
    chosen, never = set(launcher.stranded(waiting, responsive)), list[int]()
    if unresponsive:
        left = [
            attempted
            for attempted in waiting
            if not is_progressing(state.records, attempted[0], responsive, state.elapsed)
        ]
        there = await keys_on(run.client, unresponsive)
        needed = await asyncio.to_thread(launcher.needed, left)
        awaited = await keys_awaited(run.client, unresponsive, needed)
        without, never = await asyncio.to_thread(launcher.stuck, left, there | awaited)
        chosen.update(without)
    run.situation.cannot_reach(set(never))
    return Stuck(tuple(sorted(chosen)), tuple(monitor.available(fewest=1)))


async def _queued(run: ActiveRun) -> Stuck:
    """Chunks that wait for a thread although workers are idle.

    The scheduler lets chunks wait behind one that never ends, if functions of that name used to be
    quick.
    """
    state = run.state
    if state.elapsed - state.moved < run.options.timing.unresponsive_after:
        return Stuck()
    processing = await keys_processing(run.client)
    idle = run.monitor.idle(processing)
    if not idle:
        return Stuck()
    assigned = {key for keys in processing.values() for key in keys}
    unstarted = [
        state.attempted(chunk)
        for chunk in state.open_chunks()
        if state.records[chunk].state == "waiting"
    ]
    # Other runs see the same idle workers.
    if queued := run.launcher.queued(unstarted, assigned):
        return Stuck(tuple(queued[: len(idle)]), tuple(idle), anew=False)
    # What they are made of may wait, too: nobody but this run is going to make it elsewhere.
    behind, _ = await asyncio.to_thread(run.launcher.stuck, unstarted, assigned)
    return Stuck(tuple(behind), tuple(idle))


async def _relaunch(run: ActiveRun, fetcher: Fetcher, stuck: Stuck) -> None:
    """Launch chunks once more.

    What they are made of is made anew as well, under new keys, for the scheduler believes that it
    has it.
    """
    state, launcher = run.state, run.launcher
    records = {chunk: state.records[chunk] for chunk in stuck.chunks if state.is_open(chunk)}
    if not records:
        return
    running = {
        (chunk, record.attempt): record.worker
        for chunk, record in records.items()
        if record.worker is not None and record.done is None
    }
    run.monitor.abandon(run.name, running)
    attempts = {chunk: record.attempt for chunk, record in records.items()}
    overtaken = [launcher.futures[attempted] for attempted in attempts.items()]
    # First, or the chunks would count as cancelled.
    fetcher.drop(attempts.items())
    launcher.recovers(attempts)
    futures = await asyncio.to_thread(launcher.relaunch, attempts, stuck.workers, anew=stuck.anew)
    # By other attempts, some may have returned meanwhile.
    left = {a: future for a, future in futures.items() if state.is_open(a[0])}
    state.launch(chunk for chunk, _ in left)
    fetcher.add(left)
    await cancel_pending(run.client, overtaken)
    await run.drop(futures.keys() - left.keys())
