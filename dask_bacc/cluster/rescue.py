"""Chunks that do not come because workers hang: run once more, elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from distributed import Client

from dask_bacc.cluster.arrivals import Arrivals
from dask_bacc.cluster.cleanup import keys_on, look
from dask_bacc.cluster.launch import Launcher
from dask_bacc.cluster.report import Ledger
from dask_bacc.cluster.watch import watch

#: Seconds in which no chunk starts or ends before the scheduler is asked who is silent.
LOOK_EVERY = 2.0
#: Seconds of silence after which a worker is taken to hang; a busy one may be late for less.
HUNG_AFTER = 5.0


async def stuck_chunks(client: Client, launcher: Launcher, ledger: Ledger) -> list[int]:
    """Chunks that need something of silent workers and can be had without.

    They run there, wait there, or need a block that is there. What is on the cluster without a
    graph to make it, such as a persisted array, cannot be made anew. Chunks that may run only on
    workers that are gone are among them.

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
    return sorted(chosen)


async def relaunch(
    client: Client,
    launcher: Launcher,
    ledger: Ledger,
    arrivals: Arrivals,
    chunks: Collection[int],
) -> None:
    """Launch chunks once more, away from suspects.

    What they are made of is made anew as well, under new keys, for the scheduler believes that it
    has it.
    """
    known = watch(client)
    running = {i: worker for i in chunks if (worker := ledger.records[i].worker) is not None}
    known.abandon(launcher.name, running)
    overtaken = [launcher.futures[chunk] for chunk in chunks]
    futures = await asyncio.to_thread(launcher.relaunch, chunks, known.trusted())
    ledger.launch(chunks)
    # First, or the chunks would count as cancelled.
    arrivals.add(futures)
    await client.cancel(overtaken, asynchronous=True)
