"""What a task can know and say on its worker."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection

from dask.typing import Key
from distributed import Nanny, Worker, get_worker
from distributed.core import Status
from distributed.protocol.pickle import dumps
from distributed.worker import thread_state  # type: ignore[attr-defined]

__all__ = [
    "Nanny",
    "Worker",
    "call_at_once",
    "call_later",
    "dumps",
    "get_worker",
    "is_wanted",
    "publish",
    "retire",
]


def is_wanted() -> bool:
    """Whether anybody still wants the result of the calling task; True outside of tasks."""
    key = getattr(thread_state, "key", None)
    if key is None:
        return True
    task = get_worker().state.tasks.get(key)
    return task is not None and task.state not in ("cancelled", "released")


def tasks_ready(worker: Worker) -> int:
    """Tasks that the worker is to run once its threads have time for them; from any thread."""
    return len(worker.state.ready)


def publish(worker: Worker, topic: str, payload: bytes) -> None:
    """Send a message to who subscribed to the topic; on the worker's event loop.

    In one piece: nobody on the way need look at what is in it, which would take longer than all
    else that is done for a chunk.
    """
    worker.log_event(topic, {"bacc": payload})


def call_at_once(worker: Worker, function: Callable[..., object], *args: object) -> None:
    """Call a function on the worker's event loop; from any thread."""
    worker.loop.add_callback(function, *args)


def call_later(
    worker: Worker, seconds: float, function: Callable[..., None], *args: object
) -> Callable[[], None]:
    """Call a function on the worker's event loop after a while; what is returned prevents it."""
    handle = worker.loop.call_later(seconds, function, *args)
    return lambda: worker.loop.remove_timeout(handle)


async def retire(node: Worker | Nanny, reason: str) -> None:
    """Hand a worker's data on to others, and close it; by itself, or by its nanny."""
    if isinstance(node, Worker):
        # Who has not come to a scheduler yet has nothing, and would wait for one.
        if node.status in (Status.running, Status.paused):
            with contextlib.suppress(OSError):
                await node.close_gracefully(restart=False, reason=reason)
        await node.close(reason=reason)
        return
    workers = [node.worker_address] if node.worker_address else []
    # A scheduler that is away has nobody to hand on to.
    with contextlib.suppress(OSError):
        await node.scheduler.retire_workers(workers=workers, close_workers=False, remove=False)
    await node.close(reason=reason)


def fetched_from(workers: Collection[str], dask_worker: Worker) -> set[Key]:
    """What the worker is about to get from some others."""
    in_flight = dask_worker.state.in_flight_workers
    return {key for other in workers for key in in_flight.get(other, ())}
