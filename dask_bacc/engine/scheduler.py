"""What a client can ask a scheduler for, beyond what its public methods do on its event loop.

The public methods of a client wait for the scheduler for as long as it takes, look at all workers,
or fetch results of several workers together. Whoever asks here says how long it may take, with
`briefly`.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import weakref
from collections.abc import (
    AsyncIterator,
    Callable,
    Collection,
    Coroutine,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import dataclass
from typing import Any, cast

import dask
from dask.typing import Key
from distributed import Client, Future
from distributed.scheduler import heartbeat_interval

#: Seconds in which a scheduler is expected to answer.
ANSWER_WITHIN = 2.0

#: Heartbeats that a worker may be behind the others before it counts as unresponsive.
HEARTBEATS = 3

#: The connection over which a client has subscribed, and its handler.
_subscriptions: weakref.WeakKeyDictionary[
    Client, tuple[weakref.ref[object], Callable[[str, bytes], None]]
] = weakref.WeakKeyDictionary()

#: The event loop keeps only weak references to tasks.
_tasks: set[asyncio.Task[None]] = set()


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """What the scheduler knows of a worker."""

    threads: int
    #: seconds by which its last heartbeat is behind the newest one of all
    behind: float
    #: ``"running"`` if it takes tasks, ``"paused"``, ``"closing_gracefully"`` if it is about to go
    status: str
    #: whether a nanny would start it again
    has_nanny: bool

    @property
    def running(self) -> bool:
        """Whether it takes tasks."""
        return self.status == "running"

    @property
    def leaving(self) -> bool:
        """Whether it hands on its data, to be closed after that."""
        return self.status == "closing_gracefully"


@contextlib.contextmanager
def large_graphs() -> Iterator[None]:
    """The data of NumPy arrays is in graphs on purpose, so that their size needs no warning."""
    with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 PB"}):
        yield


@contextlib.asynccontextmanager
async def briefly(
    seconds: float = math.inf, *, within: float = ANSWER_WITHIN
) -> AsyncIterator[None]:
    """Go without what a scheduler that is away or hangs does not say in time."""
    # A worker that has left meanwhile is a KeyError, a client that is closing a RuntimeError.
    with contextlib.suppress(OSError, KeyError, RuntimeError):
        async with asyncio.timeout(min(max(seconds, 0.0), within)):
            yield


def in_background(coroutine: Coroutine[Any, Any, None]) -> None:
    """Start a coroutine on the running event loop, for which nobody waits."""
    task = asyncio.create_task(coroutine)
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)


def is_open(client: Client) -> bool:
    """Whether the client can submit and ask."""
    return client.status == "running" and client.scheduler is not None


def rpc_of(client: Client) -> Any:
    """What the scheduler can be asked for."""
    if client.scheduler is None:
        raise RuntimeError("the client is closed")
    return client.scheduler


def topic_of(client: Client) -> str:
    """The topic of the messages for a client."""
    # That of its bare name has the scheduler's own messages, the last of which is for a client
    # that has left, and makes the scheduler log an error.
    return f"bacc-{client.id}"


def subscribe(client: Client, handler: Callable[[str, bytes], None]) -> str:
    """Call a handler with the address of the worker and the payload of `publish`ed messages.

    The topic, which is returned, is the client's own: nobody else gets its messages.
    """

    def on_event(event: tuple[float, Any]) -> None:
        message = event[1]
        handler(message["worker"], message["bacc"])

    topic, connection = topic_of(client), client.scheduler_comm
    # A scheduler that was started anew knows of no subscription, and has a new connection. What
    # follows a message waits for ten milliseconds.
    is_lost = connection is None or connection.closed()
    known = None if is_lost else (weakref.ref(connection), handler)
    if known is None or _subscriptions.get(client) != known:
        client.subscribe_topic(topic, on_event)
    if known is not None:
        _subscriptions[client] = known
    return topic


async def log_event(client: Client, topic: str, message: object) -> None:
    """Add to the scheduler's events."""
    await rpc_of(client).log_event(topic=topic, msg=message)


async def run_on_scheduler(client: Client, function: Callable[..., Any], **kwargs: Any) -> Any:
    """What a function gives on the scheduler; None if that refuses functions, or is not in time.

    The function is not to be a module's: the scheduler may be on a machine that has not this
    package.
    """
    with contextlib.suppress(Exception):
        async with asyncio.timeout(ANSWER_WITHIN):
            return await client._run_on_scheduler(function, **kwargs)
    return None


async def forget_messages(client: Client, topic: str) -> None:
    """Have the scheduler forget the messages of a topic, of which it keeps the last thousand.

    It has no public way to do so. One that refuses functions, or knows none such, keeps them.
    """

    def truncate(dask_scheduler: Any) -> None:
        dask_scheduler._broker.truncate(topic)

    await run_on_scheduler(client, truncate)


def total_threads(client: Client) -> int:
    """Of all workers, as the client was told some seconds ago; 0 if it was not."""
    # The public method asks the scheduler.
    return int(client._scheduler_identity.get("total_threads", 0))


async def workers_of(client: Client) -> dict[str, WorkerInfo]:
    """All workers by their addresses; none if the client is closed.

    Raises
    ------
    OSError
        While the scheduler is away.
    """
    if client.scheduler is None:
        return {}
    identity = await rpc_of(client).identity(n_workers=-1)
    workers: dict[str, dict[str, Any]] = identity["workers"]
    newest = max((worker["last_seen"] for worker in workers.values()), default=0.0)
    return {
        address: WorkerInfo(
            threads=worker["nthreads"],
            behind=newest - worker["last_seen"],
            status=worker["status"],
            has_nanny=worker["nanny"] is not None,
        )
        for address, worker in workers.items()
    }


def silent_after(workers: int) -> float:
    """Seconds by which one of so many workers may be behind the others before it is silent."""
    return HEARTBEATS * usual_heartbeat(workers)


def usual_heartbeat(workers: int) -> float:
    """Seconds between two heartbeats of one of so many workers."""
    return float(heartbeat_interval(workers))


async def cancel_pending(client: Client, futures: Iterable[Future[Any]]) -> None:
    """Cancel what has not ended; of what has, it does to let go.

    A scheduler that is to cancel what others' tasks are made of fails, and the client is cut off.
    """
    if pending := [future for future in futures if state_of(future).status == "pending"]:
        await client.cancel(pending, asynchronous=True)


async def lift_restrictions(client: Client, keys: Collection[Key]) -> None:
    """Let any worker run these tasks."""
    if is_open(client):
        await rpc_of(client).set_restrictions(worker=dict.fromkeys(keys))


async def restart_worker(client: Client, address: str, timeout: float, why: str) -> None:
    """Have a worker's nanny start it again."""
    await rpc_of(client).restart_workers(
        workers=[address],
        timeout=timeout,
        wait_for_workers=False,
        on_error="return",
        stimulus_id=why,
    )


async def fetch(client: Client, keys: Sequence[Key]) -> tuple[dict[Key, Any], list[Key]]:
    """Values of these keys, and the keys whose workers do not have them any more.

    Raises
    ------
    OSError
        While the scheduler is away. What cannot be deserialised raises its own.
    """
    response = await rpc_of(client).gather(keys=list(keys))
    if response["status"] == "OK":
        return response["data"], []
    return {}, list(response["keys"])


def report_again(client: Client, key: Key) -> None:
    """Have the scheduler say anew where a result is that was lost, as the client's gather does."""
    state = client.futures.get(key)
    if state is not None and state.status == "finished":
        client._send_to_scheduler({"op": "report-key", "key": key})
        state.reset()


def state_of(future: Future[Any]) -> Any:
    """What a client knows of a future: ``status``, ``exception``, ``traceback``, ``wait()``.

    It does not keep the result on the cluster, as the future does.
    """
    return future._state


def states_of(client: Client) -> Mapping[Key, Any]:
    """The same for all futures of a client."""
    return cast(Mapping[Key, Any], client.futures)


def on_event_loop(client: Client, function: Callable[..., object], *args: object) -> bool:
    """Call a function soon on the client's event loop; False if the loop is closed."""
    loop: Any = client.loop
    try:
        loop.asyncio_loop.call_soon_threadsafe(function, *args)
    except RuntimeError:
        return False
    return True
