"""Chunks that are late are run once more beside themselves, and what comes first counts."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Sequence

from dask.typing import Key

from dask_bacc.engine.scheduler import briefly
from dask_bacc.engine.whereabouts import keys_processing
from dask_bacc.runtime.active import ActiveRun
from dask_bacc.runtime.fetch import Fetcher


async def launch_copies(
    run: ActiveRun,
    fetcher: Fetcher,
    chunks: Sequence[int],
    useless: Collection[int],
    seconds: float,
) -> bool:
    """Launch some chunks once more, one for each idle thread; False if there is none.

    Parameters
    ----------
    run : ActiveRun
    fetcher : Fetcher
    chunks : sequence of int
        Those that need it most come first.
    useless : collection of int
        Chunks that are cancelled if there are too few idle workers.
    seconds : float
        In which to find out who is idle.
    """
    monitor, state = run.monitor, run.state
    idle: dict[str, int] = {}
    async with briefly(seconds):
        await monitor.refresh(run.client)
        # Results come with messages, before the scheduler knows that the tasks have ended.
        come = _come(run)
        processing = await keys_processing(run.client)
        idle = monitor.free_threads({w: keys - come[w] for w, keys in processing.items()})
    # What has come meanwhile needs no copy.
    left = [chunk for chunk in chunks if state.is_open(chunk)]
    # A worker that is late with a chunk, or slow, would be no sooner with it.
    taken = {
        worker for chunk in left for worker in state.records[chunk].workers
    } | state.slow.keys()
    free = {worker: count for worker, count in idle.items() if worker not in taken}
    chosen = left[: sum(free.values())]
    if len(chosen) < len(left):
        await _give_up(run, [chunk for chunk in useless if state.is_open(chunk)])
    if not chosen:
        return False
    attempts = state.copy(chosen)
    futures = await asyncio.to_thread(run.launcher.relaunch, attempts, sorted(free), anew=False)
    overtaken = [a for a in futures if a[1] not in state.records[a[0]].going_on]
    fetcher.add({a: future for a, future in futures.items() if a not in overtaken})
    await run.drop(overtaken)
    return True


def _come(run: ActiveRun) -> defaultdict[str | None, set[Key]]:
    """Keys of the chunks that have returned, by the worker that they came from."""
    come, futures = defaultdict[str | None, set[Key]](set), run.launcher.futures
    for chunk in run.state.returned:
        if (future := futures.get(run.state.attempted(chunk))) is not None:
            come[run.state.records[chunk].worker].add(future.key)
    return come


async def _give_up(run: ActiveRun, chunks: Collection[int]) -> None:
    """Cancel chunks, so that their workers may take others."""
    state = run.state
    attempts = [(c, number) for c in chunks for number in state.records[c].going_on]
    if attempts:
        state.give_up(chunks)
        await run.drop(attempts)
