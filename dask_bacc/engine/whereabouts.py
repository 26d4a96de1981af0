"""Which worker has, does or fetches what, as far as the scheduler and the workers say."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from dask.typing import Key
from distributed import Client

from dask_bacc.engine.scheduler import ANSWER_WITHIN, briefly, rpc_of
from dask_bacc.engine.worker import fetched_from


async def keys_processing(client: Client) -> dict[str, set[Key]]:
    """What every worker is to do."""
    processing = await rpc_of(client).processing()
    return {worker: set(keys) for worker, keys in processing.items()}


async def keys_on(client: Client, workers: Sequence[str]) -> set[Key]:
    """What the scheduler thinks that these workers hold or are to do."""
    there = await asyncio.gather(
        rpc_of(client).has_what(workers=workers), rpc_of(client).processing(workers=workers)
    )
    return set(itertools.chain.from_iterable(keys for by in there for keys in by.values()))


def holders_of(client: Client, keys: Collection[Key]) -> Mapping[Key, Collection[str]]:
    """The workers that have each of these keys; none if the scheduler does not say so in time.

    None as well on the event loop, where nobody may wait.
    """
    if client.asynchronous:
        return {}
    with contextlib.suppress(OSError, TimeoutError):
        found: Mapping[Key, Collection[str]] = client.sync(
            rpc_of(client).who_has, keys=list(keys), callback_timeout=ANSWER_WITHIN
        )
        return found
    return {}


async def keys_awaited(
    client: Client, unresponsive: Collection[str], keys: Collection[Key]
) -> set[Key]:
    """What workers that have some of the keys to do still fetch from unresponsive workers.

    A worker goes on fetching what nobody wants any more. If it is to make that very thing later,
    it waits for it, and the scheduler takes it to be at work.

    Parameters
    ----------
    client : Client
    unresponsive : collection of str
        Addresses of workers that are not asked.
    keys : collection of keys
    """
    wanted = set(keys)
    asked = [
        worker
        for worker, tasks in (await keys_processing(client)).items()
        if worker not in unresponsive and not wanted.isdisjoint(tasks)
    ]
    found: dict[str, Any] = {}
    # Another worker may have begun to hang.
    async with briefly(within=ANSWER_WITHIN / 2):
        if asked:
            found = await client._run(
                fetched_from, list(unresponsive), workers=asked, on_error="ignore"
            )
    return set().union(*found.values())
