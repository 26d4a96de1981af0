"""Outcomes of futures as they come, fetched so that no hung worker delays another's results.

``as_completed`` and ``gather`` share one batched fetch per client: a result that is finished on a
worker which then hangs blocks every other result of its batch. Here each worker has a lane of its
own.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Self

from distributed import Client, Future

#: Results of one worker that are fetched together; more would delay the first of them.
LANE_BATCH = 64


@dataclass(frozen=True)
class Outcome:
    """How one future ended."""

    index: int
    value: Any = None
    exception: BaseException | None = None
    cancelled: bool = False


class Arrivals:
    """Watches futures from a coroutine on their client's event loop.

    Parameters
    ----------
    client : Client
    futures : mapping of int to Future
    lane_of : callable
        ``lane_of(index)`` names the worker that holds the result as far as is known. A wrong
        answer costs time only.

    Examples
    --------
    >>> async def first(client, futures):
    ...     async with Arrivals(client, futures, lambda index: "") as arrivals:
    ...         return await arrivals.take()
    """

    def __init__(
        self, client: Client, futures: Mapping[int, Future[Any]], lane_of: Callable[[int], str]
    ) -> None:
        self._client = client
        self._futures = futures
        self._lane_of = lane_of
        self._outcomes: asyncio.Queue[Outcome] = asyncio.Queue()
        self._taken: Outcome | None = None
        self._lanes: defaultdict[str, list[int]] = defaultdict(list)
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        for index in self._futures:
            self._spawn(self._watch(index))
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def add(self, futures: Mapping[int, Future[Any]]) -> None:
        """Watch these futures too."""
        self._futures = {**self._futures, **futures}
        for index in futures:
            self._spawn(self._watch(index))

    async def take(self) -> Outcome:
        """The next outcome."""
        if self._taken is not None:
            outcome, self._taken = self._taken, None
            return outcome
        return await self._outcomes.get()

    def ready(self) -> bool:
        """Whether an outcome is at hand."""
        return self._taken is not None or not self._outcomes.empty()

    async def wait(self, timeout: float | None = None) -> None:
        """Wait until an outcome is at hand, `timeout` seconds at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                self._taken = await self.take()

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _watch(self, index: int) -> None:
        state = self._futures[index]._state
        assert state is not None
        # A result that is lost with its worker makes the future wait again.
        while state.status in ("pending", "lost"):
            await state.wait()
        if state.status == "finished":
            lane = self._lane_of(index)
            self._lanes[lane].append(index)
            if len(self._lanes[lane]) == 1:
                self._spawn(self._serve(lane))
        elif state.status == "error":
            exception = state.exception or RuntimeError(f"task {index} failed")
            self._outcomes.put_nowait(
                Outcome(index, exception=exception.with_traceback(state.traceback))
            )
        else:
            self._outcomes.put_nowait(Outcome(index, cancelled=True))

    async def _serve(self, lane: str) -> None:
        """Fetch a worker's results, those that finish meanwhile in the next batch."""
        while waiting := self._lanes[lane]:
            batch = waiting[:LANE_BATCH]
            await self._fetch(batch)
            del waiting[: len(batch)]

    async def _fetch(self, batch: list[int]) -> None:
        by_key = {self._futures[index].key: index for index in batch}
        try:
            scheduler = self._client.scheduler
            assert scheduler is not None
            response = await scheduler.gather(keys=list(by_key))
        except OSError:
            # The scheduler's connection broke; the client reconnects or cancels its futures.
            await asyncio.sleep(0.05)
            for index in batch:
                self._again(index)
        except Exception as exception:
            # A result that cannot be deserialised must not take the others with it.
            if len(batch) == 1:
                self._outcomes.put_nowait(Outcome(batch[0], exception=exception))
            else:
                for index in batch:
                    await self._fetch([index])
        else:
            if response["status"] == "OK":
                for key, value in response["data"].items():
                    self._outcomes.put_nowait(Outcome(by_key[key], value=value))
                return
            lost = {by_key[key] for key in response["keys"]}
            for index in lost:
                self._again(index)
            if rest := [index for index in batch if index not in lost]:
                await self._fetch(rest)

    def _again(self, index: int) -> None:
        """Wait for a result anew after it was lost, as the client's own gather does."""
        future = self._futures[index]
        state = self._client.futures.get(future.key)
        if state is not None and state.status == "finished":
            self._client._send_to_scheduler({"op": "report-key", "key": future.key})
            state.reset()
        self._spawn(self._watch(index))
