"""What a run does beside taking in results: one thing at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Self

from dask_bacc.records.events import Stop


class Errand:
    """Estimates and launches, which wait for threads and for the scheduler.

    Results are taken in meanwhile, and a run that has its answer does not wait for them.

    Parameters
    ----------
    wake : callable
        Called when one is over.

    Examples
    --------
    >>> async def enough():
    ...     return Stop.ENOUGH
    >>> async def example():
    ...     async with Errand(lambda: None) as errand:
    ...         errand.start(enough())
    ...         await errand.settled()
    ...         return errand.outcome()
    >>> asyncio.run(example())
    <Stop.ENOUGH: 'enough results'>
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._task: asyncio.Task[Stop | None] | None = None

    @property
    def under_way(self) -> bool:
        """Whether there is one that is not over."""
        return self._task is not None and not self._task.done()

    def start(self, coroutine: Coroutine[Any, Any, Stop | None]) -> None:
        """Start one, which may say why the run is to stop; none may be under way."""
        assert not self.under_way
        self._task = asyncio.create_task(coroutine)
        self._task.add_done_callback(lambda _: self._wake())

    async def settled(self) -> None:
        """Wait until none is under way."""
        if self._task is not None:
            await asyncio.wait([self._task])

    def outcome(self) -> Stop | None:
        """What the last one said, if it is over; raises what it raised."""
        if self._task is None or not self._task.done():
            return None
        task, self._task = self._task, None
        return task.result()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if (task := self._task) is not None:
            task.cancel()
            await asyncio.wait([task])
            # What it raises by now concerns nobody, and asyncio would log it.
            _ = task.cancelled() or task.exception()
