"""The answer of a run: waited for, fetched, or left on the cluster as dask arrays."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
import time
import warnings
from typing import Any

from distributed import Client

from dask_bacc.runtime.client import on_loop
from dask_bacc.runtime.collect import abandon, consume, gather
from dask_bacc.runtime.decided import Decided
from dask_bacc.runtime.launcher import Launcher
from dask_bacc.runtime.monitor import watch
from dask_bacc.runtime.release import briefly, look
from dask_bacc.runtime.restrict import persist_on
from dask_bacc.runtime.work import Work
from dask_bacc.worker.messages import COMES_WITHIN


class Answer:
    """What a run comes to; starts to collect its results.

    Parameters
    ----------
    client : Client
        On whose event loop all goes on; the methods may be called from any thread.
    launcher : Launcher
        Of the run, with the chunks that were launched at once.
    work : Work
    """

    def __init__(self, client: Client, launcher: Launcher, work: Work) -> None:
        self._client = client
        self._launcher = launcher
        #: what is made of the results
        self.work = work
        #: done when it is known how the results decode
        self.decided = on_loop(client, consume(client, launcher, work))
        self._gathered: concurrent.futures.Future[Decided] | None = None
        self._lock = threading.Lock()

        def ended(decided: concurrent.futures.Future[Decided]) -> None:
            if decided.cancelled():
                on_loop(client, abandon(client, launcher, work))

        self.decided.add_done_callback(ended)

    @property
    def status(self) -> str:
        """As `CodedRun.status`."""
        if not self.decided.done():
            return "pending"
        if self.decided.cancelled():
            return "cancelled"
        return "error" if self.decided.exception() else "finished"

    def want(self) -> None:
        """Results are wanted here from now on."""
        if not self.decided.done() and not self.work.gathering:
            self._call(self.work.gather)

    def wait(self, timeout: float | None) -> Any:
        """The answer, with its results fetched; blocks."""
        begin = time.monotonic()
        self.want()
        decided = self.decided.result(timeout)
        if decided.held:
            left = None if timeout is None else max(begin + timeout - time.monotonic(), 0)
            decided = self._gather().result(left)
        return decided.answer

    async def here(self, timeout: float | None = None) -> Any:
        """The answer, with its results fetched."""
        self.want()
        async with asyncio.timeout(timeout):
            decided = await _shielded(self.decided)
            if decided.held:
                decided = await _shielded(self._gather())
        return decided.answer

    def wait_lazily(self, timeout: float | None) -> Any:
        """The answer as dask arrays; blocks."""
        return on_loop(self._client, self.lazily(timeout)).result()

    async def lazily(self, timeout: float | None) -> Any:
        """The answer as dask arrays."""
        async with asyncio.timeout(timeout):
            decided = await _shielded(self._gathered or self.decided)
            await self._news_of_cancelled()
            async with briefly():
                await look(self._client)
            # Somebody may have begun to fetch the results, and lets go of them afterwards.
            if self._gathered is not None:
                decided = await _shielded(self._gathered)
        answer = self.work.lazily(decided, self._launcher.name, self._launcher.futures)
        if trusted := watch(self._client).trusted():
            answer = await persist_on(self._client, answer, trusted)
        return answer

    def warn(self) -> None:
        """Tell what the answer lacks to who called the caller of this."""
        if message := self.work.ledger.warning:
            warnings.warn(message, RuntimeWarning, stacklevel=3)

    def cancel(self) -> None:
        """Give up, stop refining or fetching, or let go of results that are still on workers."""
        if not self.decided.cancel():
            self._call(self._let_go)

    def _let_go(self) -> None:
        if (refining := self.work.refining) is not None:
            refining.cancel()
        if self.status == "finished" and self.decided.result().held:
            with self._lock:
                if self._gathered is None:
                    self._gathered = concurrent.futures.Future()
                    self._launcher.release()
                self._gathered.cancel()

    async def _news_of_cancelled(self) -> None:
        """Wait until chunks that started while they were being cancelled have said so."""
        ledger = self.work.ledger
        unheard = [r for r in ledger.records if r.state == "cancelled" and r.worker is None]
        if unheard and ledger.finished is not None:
            await asyncio.sleep(ledger.finished + COMES_WITHIN - ledger.elapsed)

    def _gather(self) -> concurrent.futures.Future[Decided]:
        with self._lock:
            if self._gathered is None:
                self.work.gathering = True
                self._gathered = on_loop(
                    self._client, gather(self._client, self._launcher, self.work)
                )
            return self._gathered

    def _call(self, function: Any) -> None:
        loop: Any = self._client.loop
        # It may be closed already, and nothing is left to do.
        with contextlib.suppress(RuntimeError):
            loop.add_callback(function)


async def _shielded(future: concurrent.futures.Future[Decided]) -> Decided:
    # One impatient waiter must not cancel the run for the others.
    return await asyncio.shield(asyncio.wrap_future(future))
