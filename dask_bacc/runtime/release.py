"""What a run leaves behind on the cluster: cancelling it, remembering it, restarting workers."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import math
import time
from collections.abc import AsyncIterator, Collection, Coroutine, Sequence, Set
from typing import Any

from dask.typing import Key
from distributed import Client, Worker
from distributed.scheduler import heartbeat_interval

from dask_bacc.policy.backups import usual_limit
from dask_bacc.runtime.launcher import Launcher
from dask_bacc.runtime.monitor import watch
from dask_bacc.runtime.work import Work

logger = logging.getLogger("dask_bacc")

#: Heartbeats that a worker may be behind the others before it counts as silent.
HEARTBEATS = 3
#: Seconds for which a worker's other tasks are waited for before it is restarted, and between two
#: looks at them.
RESTART_PATIENCE, RESTART_INTERVAL = 60.0, 0.1

#: Seconds in which a scheduler is expected to answer.
ANSWER_WITHIN = 2.0

#: The event loop keeps only weak references to tasks.
_tasks: set[asyncio.Task[None]] = set()


@contextlib.asynccontextmanager
async def briefly(
    seconds: float = math.inf, *, within: float = ANSWER_WITHIN
) -> AsyncIterator[None]:
    """Go without what a scheduler that is away or hangs does not say in time."""
    # A worker that has left meanwhile is a KeyError, a client that is closing a RuntimeError.
    with contextlib.suppress(OSError, KeyError, RuntimeError):
        async with asyncio.timeout(min(max(seconds, 0.0), within)):
            yield


async def look(client: Client) -> None:
    """Ask the scheduler for its workers, and let the client's watch know who is silent."""
    scheduler = client.scheduler
    if scheduler is None:  # the client is closed
        return
    identity = await scheduler.identity(n_workers=-1)
    workers: dict[str, dict[str, Any]] = identity["workers"]
    newest = max((worker["last_seen"] for worker in workers.values()), default=0.0)
    behind = {address: newest - worker["last_seen"] for address, worker in workers.items()}
    watch(client).look(
        threads={address: worker["nthreads"] for address, worker in workers.items()},
        silence={
            address: seconds
            for address, seconds in behind.items()
            if seconds > HEARTBEATS * heartbeat_interval(len(workers))
        },
        running=[address for address, worker in workers.items() if worker["status"] == "running"],
    )


async def keys_on(client: Client, workers: Sequence[str]) -> set[Key]:
    """What the scheduler thinks that these workers hold or are to do."""
    scheduler = client.scheduler
    assert scheduler is not None
    there = await asyncio.gather(
        scheduler.has_what(workers=workers), scheduler.processing(workers=workers)
    )
    return set(itertools.chain.from_iterable(keys for by in there for keys in by.values()))


async def keys_awaited(client: Client, silent: Collection[str], keys: Set[Key]) -> set[Key]:
    """What workers that have some of the keys to do still fetch from silent workers.

    A worker goes on fetching what nobody wants any more. If it is to make that very thing later,
    it waits for it, and the scheduler takes it to be at work.

    Parameters
    ----------
    client : Client
    silent : collection of str
        Addresses of workers that do not answer, and are not asked.
    keys : set of keys
    """
    scheduler = client.scheduler
    assert scheduler is not None
    processing = await scheduler.processing()
    workers = [
        worker
        for worker, tasks in processing.items()
        if worker not in silent and not keys.isdisjoint(tasks)
    ]
    found: dict[str, Any] = {}
    # Another worker may have begun to hang.
    async with briefly(within=ANSWER_WITHIN / 2):
        if workers:
            found = await client._run(
                _fetched_from, list(silent), workers=workers, on_error="ignore"
            )
    return set().union(*found.values())


def _fetched_from(workers: Collection[str], dask_worker: Worker) -> set[Key]:
    """What the worker is about to get from others."""
    state = dask_worker.state
    return {key for other in workers for key in state.in_flight_workers.get(other, ())}


async def release(
    client: Client,
    launcher: Launcher,
    work: Work,
    cancel: str,
    keep: Collection[int] = (),
) -> None:
    """Cancel what has not ended, let go of everything, and remember who is still at it.

    Nothing here waits for the scheduler, so it is safe while the run itself is being cancelled.

    Parameters
    ----------
    client : Client
    launcher : Launcher
    work : Work
    cancel : str
        ``"restart"`` to restart the workers that are still at it, once they hold nothing else.
    keep : collection of int
        Chunks whose results stay on the cluster.
    """
    known, ledger = watch(client), work.ledger
    limit = usual_limit(ledger.records, work.options.patience) or 0.0
    known.unlisten(launcher.name, limit)
    leftovers = [chunk for chunk in launcher.futures if ledger.is_open(chunk)]
    # Backups that another thread is about to launch are open, and have no future yet.
    ledger.give_up(chunk for chunk in range(ledger.n) if ledger.is_open(chunk))
    # What was let go of before has been remembered, and may have said since that it is done.
    running = {
        chunk: worker
        for chunk, worker in ledger.report().still_running.items()
        if chunk in launcher.futures
    }
    due = {i: ledger.submitted + (ledger.records[i].started or 0.0) + limit for i in running}
    known.abandon(launcher.name, running, due)
    futures = [launcher.futures[chunk] for chunk in leftovers]
    # First, for who scatters the same data again sends it by another way than what is said here,
    # and the scheduler would drop it if that came later.
    launcher.release(keep)
    if client.status == "running":
        if leftovers:
            await client.cancel(futures, asynchronous=True)
        if leftovers or known.suspects:
            restart = set(running.values()) if cancel == "restart" else set()
            in_background(_look_after(client, launcher.name, restart))


def in_background(coroutine: Coroutine[Any, Any, None]) -> None:
    """Start a coroutine on the running event loop, for which nobody waits."""
    task = asyncio.create_task(coroutine)
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)


async def _look_after(client: Client, run: str, restart: Collection[str]) -> None:
    """See who is silent, restart workers when they hold nothing of value, and who has left."""
    async with briefly():
        await look(client)
    await asyncio.gather(*(_restart_once_idle(client, run, address) for address in restart))
    # A worker that dies with a cancelled chunk never says that it is through with it.
    while client.status == "running" and any(name == run for name, _ in watch(client).zombies):
        await asyncio.sleep(ANSWER_WITHIN)
        async with briefly():
            await look(client)


async def _restart_once_idle(client: Client, run: str, address: str) -> None:
    known = watch(client)
    loop = asyncio.get_running_loop()
    end = loop.time() + RESTART_PATIENCE
    while loop.time() < end and client.status == "running":
        mine = {w for (name, _), w in known.zombies.items() if name == run}
        if address not in mine:
            return
        idle = False
        async with briefly():
            idle = not await keys_on(client, [address])
        if idle:
            logger.info("restarting %s, which still runs cancelled chunks of %s", address, run)
            async with briefly(within=RESTART_PATIENCE):
                await _restart(client, run, address)
            return
        await asyncio.sleep(RESTART_INTERVAL)
    logger.warning("%s still runs cancelled chunks, and could not be restarted", address)


async def _restart(client: Client, run: str, address: str) -> None:
    scheduler = client.scheduler
    assert scheduler is not None
    identity = await scheduler.identity(n_workers=-1)
    if identity["workers"][address]["nanny"] is None:
        logger.warning("%s has no nanny to start it again, and is left as it is", address)
        return
    await scheduler.restart_workers(
        workers=[address],
        timeout=RESTART_PATIENCE,
        wait_for_workers=False,
        on_error="return",
        stimulus_id=f"{run}-restart-{time.time()}",
    )
    # A nanny's new worker has a new address, and the chunks of the old one are gone.
    await look(client)
