"""The answer of a run: waited for, fetched, or left on the cluster as dask arrays."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
import time
import traceback
import warnings
from dataclasses import replace
from typing import Any

from dask.base import unpack_collections
from distributed import KilledWorker
from distributed.client import FutureCancelledError

from dask_bacc.engine.scheduler import briefly, cancel_pending, on_event_loop
from dask_bacc.graphs.decode import Held, held_here, lazy_answer
from dask_bacc.graphs.local import lazy_copy
from dask_bacc.runtime.active import ActiveRun
from dask_bacc.runtime.client import on_loop
from dask_bacc.runtime.monitors import monitor_of
from dask_bacc.runtime.release import release
from dask_bacc.runtime.restrict import persist_on
from dask_bacc.runtime.stages import Decided, abandon, fetch_and_decode, run_to_answer

#: Seconds between looks at workers whose results are being added up there.
LOOK_EVERY = 1.0


class Answer:
    """What a run comes to; starts to collect its results.

    Parameters
    ----------
    run : ActiveRun
        On whose client's event loop all goes on; the methods may be called from any thread.
    """

    def __init__(self, run: ActiveRun) -> None:
        self._client = run.client
        #: the parts of the run
        self.run = run
        #: done when it is known how the results decode
        self.decided = on_loop(run.client, run_to_answer(run))
        self._fetched: concurrent.futures.Future[Decided] | None = None
        self._lock = threading.Lock()

        def ended(decided: concurrent.futures.Future[Decided]) -> None:
            if decided.cancelled():
                on_loop(run.client, abandon(run))

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
        if not self.decided.done() and not self.run.wanted_here:
            on_event_loop(self._client, self._want)

    def _want_here(self) -> None:
        """The answer is wanted here, for which its results need not be."""
        if not self.run.decider.adds_up_there:
            self.want()

    def _want(self) -> None:
        self.run.wanted_here = True
        self.run.wake()

    def wait(self, timeout: float | None) -> Any:
        """The answer, with its results fetched; blocks."""
        begin = time.monotonic()
        self._want_here()
        decided = self.decided.result(timeout)
        if decided.on_workers:
            left = None if timeout is None else max(begin + timeout - time.monotonic(), 0)
            decided = self._fetch().result(left)
        return decided.answer

    async def here(self, timeout: float | None = None) -> Any:
        """The answer, with its results fetched."""
        self._want_here()
        async with asyncio.timeout(timeout):
            decided = await _shielded(self.decided)
            if decided.on_workers:
                decided = await _shielded(self._fetch())
        return decided.answer

    def wait_lazily(self, timeout: float | None) -> Any:
        """The answer as dask arrays; blocks."""
        return on_loop(self._client, self.lazily(timeout)).result()

    async def lazily(self, timeout: float | None) -> Any:
        """The answer as dask arrays."""
        monitor = monitor_of(self._client)
        async with asyncio.timeout(timeout):
            decided = await _shielded(self._fetched or self.decided)
            await self._messages_of_cancelled()
            async with briefly():
                await monitor.refresh(self._client)
            # Somebody may have begun to fetch the results, and lets go of them afterwards.
            if self._fetched is not None:
                decided = await _shielded(self._fetched)
        # What it refers to is there for as long as the run keeps it, or is copied.
        return await self._on_workers(decided)

    async def _on_workers(self, decided: Decided) -> Any:
        """The answer as dask arrays, which workers begin to make."""
        answer = await asyncio.to_thread(self._as_dask_arrays, decided)
        if available := monitor_of(self._client).available():
            answer = await persist_on(self._client, answer, available)
        return answer

    def _as_dask_arrays(self, decided: Decided) -> Any:
        run = self.run
        specs, joining = run.store.specs, run.decider.joining
        if not decided.on_workers:
            layout = next(iter(specs.values())).layout
            return lazy_copy(decided.answer, run.code.k, layout, joining, run.name)
        solved, results = decided.solved, list[Held]()
        for chunk in solved.chunks:
            future = run.launcher.futures.get(run.state.attempted(chunk))
            if future is not None:
                results.append(Held(future, run.state.records[chunk].worker))
            else:
                name = f"{run.name}-here-{chunk}"
                results.append(held_here(name, specs[chunk], decided.here[chunk]))
        for number, past in enumerate(solved.earlier):
            if past.result is None:
                results.append(Held(past.held, past.worker))
            else:
                name = f"{run.name}-before-{number}"
                results.append(held_here(name, past.spec, past.result))
        return lazy_answer(run.name, solved, specs, results, joining)

    def warn(self) -> None:
        """Tell what the answer lacks to who called the caller of this."""
        if message := self.run.state.warning:
            warnings.warn(message, RuntimeWarning, stacklevel=3)

    def cancel(self) -> None:
        """Give up, stop refining or fetching, or let go of results that are still on workers."""
        if not self.decided.cancel():
            # If the loop is closed, nothing is left to do.
            on_event_loop(self._client, self._let_go)

    def _let_go(self) -> None:
        if (refining := self.run.refining) is not None:
            refining.cancel()
        if self.status == "finished" and self.decided.result().on_workers:
            with self._lock:
                if self._fetched is None:
                    self._fetched = concurrent.futures.Future()
                    self.run.launcher.let_go()
                self._fetched.cancel()

    async def _messages_of_cancelled(self) -> None:
        """Wait until chunks that started while they were being cancelled have said so."""
        state = self.run.state
        unheard = [r for r in state.records if r.state == "cancelled" and r.worker is None]
        if unheard and state.finished is not None:
            until = state.finished + self.run.options.timing.messages_within
            await asyncio.sleep(until - state.elapsed)

    def _fetch(self) -> concurrent.futures.Future[Decided]:
        with self._lock:
            if self._fetched is None:
                self._fetched = on_loop(self._client, self._fetch_here())
            return self._fetched

    async def _fetch_here(self) -> Decided:
        run, decided = self.run, self.decided.result()
        if run.decider.adds_up_there and (summed := await self._added_up(decided)) is not None:
            await release(run, "cancel")
            run.forget_results()
            run.notify()
            return summed
        if run.decider.adds_up_there or any(p.result is None for p in decided.solved.earlier):
            # What earlier rounds have left on workers does not come here.
            run.decider.forget_earlier()
        run.wanted_here = True
        return await fetch_and_decode(run)

    async def _added_up(self, decided: Decided) -> Decided | None:
        """The answer by sums on the workers; None if one of them is lost or hangs."""
        run, monitor = self.run, monitor_of(self._client)
        solved = decided.solved
        holders = {run.state.records[chunk].worker for chunk in solved.chunks}
        holders |= {past.worker for past in solved.earlier if past.result is None}
        collections, repack = unpack_collections(await self._on_workers(decided))
        futures = self._client.compute(collections, optimize_graph=False)
        gathered = asyncio.ensure_future(self._client.gather(futures, asynchronous=True))
        patience = run.options.timing.unresponsive_after
        while not gathered.done():
            await asyncio.wait([gathered], timeout=LOOK_EVERY)
            async with briefly():
                await monitor.refresh(self._client)
            if not holders <= monitor.workers - monitor.unresponsive(patience):
                await cancel_pending(self._client, futures)
        error = gathered.exception()
        if isinstance(error, KilledWorker | FutureCancelledError):
            # Frames of its traceback hold the error and the futures, which so would stay.
            traceback.clear_frames(error.__traceback__)
            return None
        (answer,) = repack(gathered.result())
        return replace(decided, answer=answer)


async def _shielded(future: concurrent.futures.Future[Decided]) -> Decided:
    # One impatient waiter must not cancel the run for the others.
    return await asyncio.shield(asyncio.wrap_future(future))
