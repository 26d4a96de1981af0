"""What chunks sent ahead of their results."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from dask_bacc.worker.messages import COMES_WITHIN
from dask_bacc.worker.task import ChunkResult

#: Seconds without news of a result after which it is fetched as it is, however large.
FETCH_AFTER = 2.0


class Ahead:
    """News of results, on the client's event loop."""

    def __init__(self) -> None:
        self._brought: dict[int, ChunkResult] = {}
        #: chunks that have said that they are done
        self._told: set[int] = set()
        #: set when that is said by one that is waited for
        self._awaited: defaultdict[int, asyncio.Event] = defaultdict(asyncio.Event)

    def news(self, news: Mapping[str, Any]) -> None:
        """Take in what a chunk says of itself."""
        chunk = news["chunk"]
        if news["state"] == "running":
            # What an earlier attempt said of its end is not of this one's.
            self._told.discard(chunk)
        if "ahead" in news:
            # What cannot be read here is fetched instead, and raises for the run that wants it.
            with contextlib.suppress(Exception):
                self._brought[chunk] = ChunkResult.unpacked(news["ahead"])
        if news["state"] == "done":
            self._told.add(chunk)
            if chunk in self._awaited:
                self._awaited.pop(chunk).set()

    async def of(self, chunk: int, *, failed: bool) -> ChunkResult | None:
        """What a chunk that has ended sent ahead; None if nothing, or if its news were lost.

        It is given away, so that this does not keep results that the run has let go of.
        """
        if chunk not in self._told:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(COMES_WITHIN if failed else FETCH_AFTER):
                    await self._awaited[chunk].wait()
        # Should it run once more, there will be news again.
        self._told.discard(chunk)
        return self._brought.pop(chunk, None)
