"""Outcomes of futures as they come, fetched so that no hung worker delays another's results.

``as_completed`` and ``gather`` share one batched fetch per client: a result that is finished on a
worker which then hangs blocks every other result of its batch. Here each worker has a lane of its
own.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from dask.typing import Key
from distributed import Client, Future

from dask_bacc.engine.scheduler import fetch, report_again, state_of
from dask_bacc.records.chunk import Attempted

#: Results of one worker that are fetched together; more would delay the first of them.
LANE_BATCH = 64


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one future ended."""

    #: a chunk, and the number of the attempt at it
    index: Attempted
    value: Any = None
    exception: BaseException | None = None
    cancelled: bool = False


class Fetcher:
    """Watches futures from a coroutine on their client's event loop.

    Parameters
    ----------
    client : Client
    futures : mapping of pairs of int to Future
        By chunk and number of the attempt.
    lane_of : callable
        ``lane_of(index)`` names the worker that holds the result as far as is known. A wrong
        answer costs time only.
    known : coroutine function
        ``await known(index, failed=False)`` is what to give as the result instead of fetching it,
        or None; with ``failed=True`` it waits for what is said of a failure.

    Examples
    --------
    >>> async def nothing(index, *, failed):
    ...     return None
    >>> async def first(client, futures):
    ...     async with Fetcher(client, futures, lambda index: "", nothing) as fetcher:
    ...         return await fetcher.take()
    """

    def __init__(
        self,
        client: Client,
        futures: Mapping[Attempted, Future[Any]],
        lane_of: Callable[[Attempted], str],
        known: Callable[..., Awaitable[Any]],
    ) -> None:
        self._client = client
        self._futures = dict(futures)
        self._lane_of = lane_of
        self._known = known
        self._outcomes: deque[Outcome] = deque()
        #: futures whose results came by another way
        self._brought: set[Key] = set()
        self._woken = asyncio.Event()
        self._lanes: defaultdict[str, list[tuple[Key, Attempted]]] = defaultdict(list)
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        for index in self._futures:
            self._spawn(self._watch(index))
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        # A traceback may keep this object, and must not keep the results; at once, for who waits
        # below may be cancelled.
        self._futures.clear()
        self._lanes.clear()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def add(self, futures: Mapping[Attempted, Future[Any]]) -> None:
        """Watch these futures too, in place of others of the same index."""
        self._futures |= futures
        self._outcomes = deque(o for o in self._outcomes if o.index not in futures)
        for index in futures:
            self._spawn(self._watch(index))

    def bring(self, index: Attempted, value: Any) -> bool:
        """Take a result that came by another way, if its future is watched; whether it is."""
        if watched := index in self._futures:
            key = self._futures[index].key
            self._brought.add(key)
            self._put(Outcome(index, value), key)
        return watched

    def drop(self, indices: Iterable[Attempted]) -> None:
        """What becomes of these does not matter any more."""
        for index in indices:
            self._futures.pop(index, None)
        self._outcomes = deque(o for o in self._outcomes if o.index in self._futures)

    async def take(self) -> Outcome:
        """The next outcome."""
        while not self._outcomes:
            await self.wait()
        return self._outcomes.popleft()

    def ready(self) -> bool:
        """Whether an outcome is at hand."""
        return bool(self._outcomes)

    def ready_results(self) -> list[int]:
        """Chunks whose results are at hand."""
        return [o.index[0] for o in self._outcomes if not o.cancelled and o.exception is None]

    async def wait(self, timeout: float | None = None) -> None:
        """Wait until an outcome is at hand or somebody wakes this, `timeout` seconds at most."""
        if not self._outcomes:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._woken.wait()
        self._woken.clear()

    def wake(self) -> None:
        """Wake who waits."""
        self._woken.set()

    def _put(self, outcome: Outcome, key: Key) -> None:
        if self._is_current(outcome.index, key):
            self._outcomes.append(outcome)
            self._woken.set()

    def _is_current(self, index: Attempted, key: Key) -> bool:
        """Whether no other future has taken the place of this one's meanwhile."""
        return index in self._futures and self._futures[index].key == key

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # No local variable below is a future: frames of what is cancelled live on for a while.

    async def _watch(self, index: Attempted) -> None:
        key, state = self._futures[index].key, state_of(self._futures[index])
        # A result that is lost with its worker makes the future wait again.
        while state.status in ("pending", "lost"):
            await state.wait()
        if key in self._brought:
            return
        if state.status == "finished":
            if (value := await self._known(index, failed=False)) is not None:
                self._put(Outcome(index, value), key)
                return
            if key in self._brought:
                return
            lane = self._lane_of(index)
            self._lanes[lane].append((key, index))
            if len(self._lanes[lane]) == 1:
                self._spawn(self._serve(lane))
        elif state.status == "error":
            # What it says of itself comes first, as with a result.
            await self._known(index, failed=True)
            exception = state.exception or RuntimeError(f"chunk {index[0]} failed")
            exception = exception.with_traceback(state.traceback)
            self._put(Outcome(index, exception=exception), key)
        else:
            self._put(Outcome(index, cancelled=True), key)

    async def _serve(self, lane: str) -> None:
        """Fetch a worker's results, those that finish meanwhile in the next batch."""
        while waiting := self._lanes[lane]:
            batch = waiting[:LANE_BATCH]
            await self._fetch(dict(batch))
            del waiting[: len(batch)]

    async def _fetch(self, batch: dict[Key, Attempted]) -> None:
        try:
            values, lost = await fetch(self._client, list(batch))
        except OSError:
            # The scheduler's connection broke; the client reconnects or cancels its futures.
            await asyncio.sleep(0.05)
            for key, index in batch.items():
                self._again(key, index)
        except Exception as exception:
            # A result that cannot be deserialised must not take the others with it.
            if len(batch) == 1:
                ((key, index),) = batch.items()
                self._put(Outcome(index, exception=exception), key)
            else:
                for key, index in batch.items():
                    await self._fetch({key: index})
        else:
            for key, value in values.items():
                self._put(Outcome(batch[key], value=value), key)
            for key in lost:
                self._again(key, batch.pop(key))
            if lost and batch:
                await self._fetch(batch)

    def _again(self, key: Key, index: Attempted) -> None:
        """Wait for a result anew after it was lost."""
        if self._is_current(index, key):
            report_again(self._client, key)
            self._spawn(self._watch(index))
