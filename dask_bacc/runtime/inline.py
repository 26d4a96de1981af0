"""What chunks sent with their messages."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict

from dask_bacc.policy.timing import Timing
from dask_bacc.records.chunk import Attempted
from dask_bacc.worker.brought import ChunkResult
from dask_bacc.worker.messages import Message


class InlineResults:
    """Results that come with messages, on the client's event loop.

    Parameters
    ----------
    timing : Timing
        How long to wait for a message.
    """

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._brought: dict[Attempted, ChunkResult] = {}
        #: attempts, by chunk and number, that have said that they are done
        self._done: set[Attempted] = set()
        #: set when that is said by one that is waited for
        self._awaited: defaultdict[Attempted, asyncio.Event] = defaultdict(asyncio.Event)

    def take(self, message: Message) -> None:
        """Take in what a chunk says of itself."""
        place = message.chunk, message.attempt
        if message.state == "running":
            # What an earlier attempt said of its end is not of this one's.
            self._done.discard(place)
        if message.state == "done":
            if message.payload is not None:
                # What cannot be read here is fetched, and raises for the run that wants it.
                with contextlib.suppress(Exception):
                    self._brought[place] = ChunkResult.unpacked(message.payload)
            self._done.add(place)
            if place in self._awaited:
                self._awaited.pop(place).set()

    def places(self) -> list[Attempted]:
        """Attempts of which there is something."""
        return list(self._brought)

    def whole(self, place: Attempted) -> ChunkResult | None:
        """A result that came with all that is in it."""
        brought = self._brought.get(place)
        return None if brought is None or brought.result is None else brought

    def give_away(self, place: Attempted) -> ChunkResult | None:
        """What an attempt brought, of which nothing is kept here."""
        # Should it run once more, there will be messages again.
        self._done.discard(place)
        return self._brought.pop(place, None)

    def clear(self) -> None:
        """Let go of what nobody has asked for."""
        self._brought.clear()

    async def of(self, place: Attempted, *, failed: bool) -> ChunkResult | None:
        """What an attempt that has ended brought; None if nothing, or if its message was lost.

        It is given away, so that this does not keep results that the run has let go of.
        """
        if place not in self._done:
            timing, said = self._timing, self._awaited[place]
            seconds = timing.messages_within if failed else timing.fetch_after
            # A timeout of its own for each of thousands takes longer than all the rest.
            timer = asyncio.get_running_loop().call_later(seconds, said.set)
            try:
                await said.wait()
            finally:
                timer.cancel()
                self._awaited.pop(place, None)
        return self.give_away(place)
