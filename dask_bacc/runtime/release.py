"""What a run leaves behind on the cluster: let go of, remembered, and workers restarted."""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import Collection, Coroutine
from typing import Any

from distributed import Client

from dask_bacc.engine.scheduler import (
    briefly,
    cancel_pending,
    in_background,
    is_open,
    log_event,
    restart_worker,
)
from dask_bacc.engine.whereabouts import keys_on
from dask_bacc.policy.lateness import usual_limit
from dask_bacc.records.summary import TOPIC, summary
from dask_bacc.runtime.active import ActiveRun
from dask_bacc.runtime.monitors import monitor_of
from dask_bacc.runtime.troubles import note_troubles

logger = logging.getLogger("dask_bacc")

#: Share of the usual limit of a chunk for which a worker is better waited for than done without.
SOON = 1 / 3
#: Seconds by which heartbeats may be late.
PATIENCE = 2.0
#: Seconds for which a worker's other tasks are waited for before it is restarted, and between two
#: looks at them.
RESTART_PATIENCE, RESTART_INTERVAL = 60.0, 0.1


async def release(run: ActiveRun, cancel: str, keep: Collection[int] = ()) -> None:
    """Cancel what has not ended, let go of everything, and remember what still runs.

    Nothing here waits for the scheduler, so it is safe while the run itself is being cancelled.

    Parameters
    ----------
    run : ActiveRun
    cancel : str
        ``"restart"`` to restart the workers that are still at it, once they hold nothing else.
    keep : collection of int
        Chunks whose results stay on the cluster.
    """
    client, state, launcher, monitor = run.client, run.state, run.launcher, run.monitor
    limit = usual_limit(state.records, run.options.patience) or 0.0
    monitor.over(run.name, limit, state)
    monitor.speeds.learn(run.name, state, run.options.patience.minimum)
    leftovers = [(c, a) for c, a in launcher.futures if a in state.records[c].going_on]
    # Backups that another thread is about to launch are open, and have no future yet.
    state.give_up(state.open_chunks())
    # What was let go of before has been remembered, and may have said since that it is done.
    running = {a: w for a, w in state.still_running.items() if a in launcher.futures}
    # Who asks whether it is wanted ends sooner than others of the run did.
    soon = state.elapsed + monitor.speeds.letting_go(SOON * limit)
    due = {
        a: state.submitted + max((state.records[a[0]].started or 0.0) + limit, soon)
        for a in running
    }
    monitor.abandon(run.name, running, due)
    futures = [launcher.futures[attempted] for attempted in leftovers]
    # First, for who scatters the same data again sends it by another way than what is said here,
    # and the scheduler would drop it if that came later.
    launcher.let_go(keep)
    if client.status == "running":
        await cancel_pending(client, futures)
        in_background(monitor.tidy(client))
        if leftovers or monitor.unavailable or state.lost_workers:
            # Those too that were overtaken before the run was over.
            left = monitor.still_running(run.name)
            restart = set(left.values()) if cancel == "restart" else set()
            in_background(_look_after(run, restart))


async def tell_how_it_ended(run: ActiveRun) -> None:
    """Leave a word of a run that is over with the scheduler, for those who watch it."""
    if is_open(run.client):
        slow = run.monitor.speeds.slow(run.options.timing.slow_for)
        async with briefly():
            await log_event(run.client, TOPIC, summary(run.state, slow))


def _look_after(run: ActiveRun, restart: Collection[str]) -> Coroutine[Any, Any, None]:
    """See who responds, restart workers when they hold nothing of value, and see who has left."""
    client, name, monitor = run.client, run.name, run.monitor
    # The report has it too, for as long as somebody has the report; the run itself may go.
    state, patience = weakref.ref(run.state), run.options.timing.unresponsive_after
    unstarted = any(r.state == "cancelled" and r.worker is None for r in run.state.records)

    def note() -> None:
        if (known := state()) is not None:
            note_troubles(known, monitor, patience)

    async def look(after: float) -> None:
        await asyncio.sleep(after)
        if client.status == "running":
            async with briefly():
                await monitor.refresh(client)
            note()

    async def look_after() -> None:
        await look(0.0)
        # A worker that hangs with chunks that it never started is known by its heartbeats alone.
        looks = [look(patience + PATIENCE)] if unstarted else []
        restarts = (_restart_once_idle(client, name, address) for address in restart)
        await asyncio.gather(*restarts, *looks)
        await monitor.watch(client, name, note)

    return look_after()


async def _restart_once_idle(client: Client, run: str, address: str) -> None:
    monitor = monitor_of(client)
    loop = asyncio.get_running_loop()
    end = loop.time() + RESTART_PATIENCE
    while loop.time() < end and is_open(client):
        if address not in monitor.still_running(run).values():
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
    monitor = monitor_of(client)
    await monitor.refresh(client)
    info = monitor.info(address)
    if info is not None and not info.has_nanny:
        logger.warning("%s has no nanny to start it again, and is left as it is", address)
        return
    await restart_worker(client, address, RESTART_PATIENCE, why=f"{run}-restart")
    # A nanny's new worker has a new address, and the chunks of the old one are gone.
    await monitor.refresh(client)
