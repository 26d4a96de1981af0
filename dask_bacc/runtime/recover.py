"""Chunks that do not come because workers hang or are taken: run once more, elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from distributed import Client

from dask_bacc.records.report import ChunkRecord
from dask_bacc.records.state import Ledger
from dask_bacc.runtime.fetch import Arrivals
from dask_bacc.runtime.launcher import Launcher
from dask_bacc.runtime.monitor import watch
from dask_bacc.runtime.release import keys_awaited, keys_on, look

#: Seconds in which no chunk starts or ends before the scheduler is asked who is silent.
LOOK_EVERY = 2.0
#: Seconds of silence after which a worker is taken to hang; a busy one may be late for less.
#: After as many without news of any chunk, those that wait for a thread go where one is idle.
HUNG_AFTER = 5.0
#: Times the longest chunk that returned, for which one on a silent worker is left to itself.
LONGER = 1.5


@dataclass(frozen=True)
class Stuck:
    """Chunks to launch once more."""

    chunks: tuple[int, ...] = ()
    #: the only workers that may run them; none for any
    workers: tuple[str, ...] = ()
    #: whether what they are made of may be out of reach
    anew: bool = True


async def stuck_chunks(client: Client, launcher: Launcher, ledger: Ledger) -> Stuck:
    """Chunks that need something of silent workers, or wait for a thread, and can be had without.

    They run on a silent worker, wait there, or need a block that is there, or that another worker
    is still fetching from there, perhaps for a run that is over. What is on the cluster
    without a graph to make it, such as a persisted array, cannot be made anew. Chunks that may run
    only on workers that are gone are among them. The scheduler lets chunks wait behind one that
    never ends while other workers are idle, if functions of that name used to be quick.

    Raises
    ------
    OSError
        While the scheduler is away.
    """
    await look(client)
    known = watch(client)
    waiting = [chunk for chunk in range(ledger.n) if ledger.is_open(chunk)]
    silent = sorted(known.silent(HUNG_AFTER))
    well = known.workers.difference(silent)
    chosen = set(launcher.stranded(waiting, well))
    if silent:
        left = [i for i in waiting if not in_good_hands(ledger.records, i, well, ledger.elapsed)]
        there = await keys_on(client, silent)
        awaited = await keys_awaited(client, silent, launcher.needed(left))
        chosen.update(launcher.stuck(left, there | awaited))
    scheduler = client.scheduler
    if chosen or scheduler is None or ledger.elapsed - ledger.moved < HUNG_AFTER:
        return Stuck(tuple(sorted(chosen)), tuple(known.trusted(fewest=1)))
    processing = await scheduler.processing()
    idle = [worker for worker in known.running - known.suspects if not processing.get(worker)]
    if not idle:
        return Stuck()
    assigned = {key for keys in processing.values() for key in keys}
    unstarted = [chunk for chunk in waiting if ledger.records[chunk].state == "waiting"]
    # Other runs see the same idle workers.
    queued = launcher.queued(unstarted, assigned)[: len(idle)]
    return Stuck(tuple(queued), tuple(sorted(idle)), anew=False)


def in_good_hands(
    records: Sequence[ChunkRecord], chunk: int, well: Collection[str], now: float
) -> bool:
    """Whether a chunk is at a worker that is not silent, or has not run for so long.

    A worker is silent as well while a function holds the interpreter's lock.

    Parameters
    ----------
    records : sequence of ChunkRecord
    chunk : int
    well : collection of str
        Workers that are not silent.
    now : float
        Seconds since the run was submitted.

    Examples
    --------
    >>> done, slow = ChunkRecord("returned", "a", 0.0, 20.0), ChunkRecord("running", "b", 0.0)
    >>> in_good_hands([done, slow], 1, {"a"}, 25.0), in_good_hands([done, slow], 1, {"a"}, 35.0)
    (True, False)
    """
    record = records[chunk]
    if record.worker is None or record.started is None:
        return False
    if record.worker in well:
        return True
    seconds = [s for other in records if (s := other.seconds) is not None]
    return record.done is None and now - record.started < LONGER * max(seconds, default=0.0)


async def give_up(
    client: Client,
    launcher: Launcher,
    ledger: Ledger,
    arrivals: Arrivals,
    chunks: Collection[int],
) -> None:
    """Enter chunks that the cluster gave up; launch those once more that it need not have.

    When data is lost while a graph is on its way, the scheduler gives up all that is in it.
    """
    again = launcher.bystanders(chunks) if client.status == "running" else []
    ledger.give_up(chunk for chunk in chunks if chunk not in again)
    if again:
        trusted = tuple(watch(client).trusted())
        await relaunch(client, launcher, ledger, arrivals, Stuck(tuple(again), trusted))


async def relaunch(
    client: Client,
    launcher: Launcher,
    ledger: Ledger,
    arrivals: Arrivals,
    stuck: Stuck,
) -> None:
    """Launch chunks once more.

    What they are made of is made anew as well, under new keys, for the scheduler believes that it
    has it.
    """
    chunks = stuck.chunks
    records = {i: ledger.records[i] for i in chunks}
    running = {i: r.worker for i, r in records.items() if r.worker is not None and r.done is None}
    watch(client).abandon(launcher.name, running)
    overtaken = [launcher.futures[chunk] for chunk in chunks]
    futures = await asyncio.to_thread(launcher.relaunch, chunks, stuck.workers, anew=stuck.anew)
    ledger.launch(chunks)
    # First, or the chunks would count as cancelled.
    arrivals.add(futures)
    await client.cancel(overtaken, asynchronous=True)
