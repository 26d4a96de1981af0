"""Chunks that do not come because workers hang or are taken: run once more, elsewhere."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from distributed import Client

from dask_bacc.cluster.arrivals import Arrivals
from dask_bacc.cluster.cleanup import keys_on, look
from dask_bacc.cluster.launch import Launcher
from dask_bacc.cluster.report import Ledger
from dask_bacc.cluster.watch import watch

#: Seconds in which no chunk starts or ends before the scheduler is asked who is silent.
LOOK_EVERY = 2.0
#: Seconds of silence after which a worker is taken to hang; a busy one may be late for less.
#: After as many without news of any chunk, those that wait for a thread go where one is idle.
HUNG_AFTER = 5.0


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

    They run on a silent worker, wait there, or need a block that is there. What is on the cluster
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
    chosen = set(launcher.stranded(waiting, known.workers.difference(silent)))
    if silent:
        chosen.update(launcher.stuck(waiting, await keys_on(client, silent)))
    scheduler = client.scheduler
    if chosen or scheduler is None or ledger.elapsed - ledger.moved < HUNG_AFTER:
        return Stuck(tuple(sorted(chosen)), tuple(known.trusted()))
    processing = await scheduler.processing()
    idle = [worker for worker in known.workers - known.suspects if not processing.get(worker)]
    if not idle:
        return Stuck()
    assigned = {key for keys in processing.values() for key in keys}
    unstarted = [chunk for chunk in waiting if ledger.records[chunk].state == "waiting"]
    return Stuck(tuple(launcher.queued(unstarted, assigned)), tuple(sorted(idle)), anew=False)


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
    running = {i: worker for i in chunks if (worker := ledger.records[i].worker) is not None}
    watch(client).abandon(launcher.name, running)
    overtaken = [launcher.futures[chunk] for chunk in chunks]
    futures = await asyncio.to_thread(launcher.relaunch, chunks, stuck.workers, anew=stuck.anew)
    ledger.launch(chunks)
    # First, or the chunks would count as cancelled.
    arrivals.add(futures)
    await client.cancel(overtaken, asynchronous=True)
