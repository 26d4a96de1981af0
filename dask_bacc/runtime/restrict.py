"""Keeping what is persisted to some workers until it is made, and no longer."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from typing import Any

from dask.base import unpack_collections
from dask.typing import Key
from distributed import Client, Future, futures_of

from dask_bacc.engine.scheduler import (
    ANSWER_WITHIN,
    briefly,
    in_background,
    lift_restrictions,
    state_of,
)
from dask_bacc.runtime.monitors import monitor_of


async def persist_on(client: Client, collection: Any, workers: Sequence[str]) -> Any:
    """Persist collections on some workers only.

    Where they are merely preferred, idle ones steal, and a worker whose thread is taken by what
    was cancelled looks idle. Once all is made, or none of the workers is left, it may be made
    anywhere: it may outlive them. The scheduler thinks of tasks that no worker could run when
    another one joins.

    Parameters
    ----------
    client : Client
        On whose event loop this coroutine runs.
    collection : object
        Collections in any containers.
    workers : sequence of str
        Their addresses.
    """
    collections, repack = unpack_collections(collection)
    # As they are: with other keys it would not be known what is to be let go.
    persisted = await asyncio.to_thread(
        client.persist, collections, workers=workers, optimize_graph=False
    )
    made = [
        [key for key, node in array.__dask_graph__().items() if not isinstance(node, Future)]
        for array in collections
    ]
    states = [state_of(future) for future in futures_of(persisted)]
    in_background(_lift(client, made, states, set(workers)))
    (answer,) = repack(persisted)
    return answer


async def _lift(
    client: Client, made: Sequence[Sequence[Key]], states: Sequence[Any], workers: Collection[str]
) -> None:
    """Lift the restriction when it is time."""
    await _made_or_stranded(client, states, workers)
    for keys in made:
        # A KeyError if the array is not wanted any more.
        async with briefly():
            await lift_restrictions(client, keys)


async def _made_or_stranded(
    client: Client, states: Sequence[Any], workers: Collection[str]
) -> None:
    """Wait until all futures are done, or none of the workers is left."""
    monitor = monitor_of(client)
    for state in states:
        while state.status in ("pending", "lost"):
            try:
                await state.wait(ANSWER_WITHIN)
            except TimeoutError:
                async with briefly():
                    await monitor.refresh(client)
                if client.status != "running" or monitor.workers.isdisjoint(workers):
                    return
