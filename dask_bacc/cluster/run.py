"""A run: one submission of a function over all chunks, to its decoded answer."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
import time
import warnings
import weakref
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import dask
import dask.array as da
from dask.base import unpack_collections
from dask.typing import Key
from dask.utils import parse_bytes
from distributed import Client

from dask_bacc.cluster.cleanup import briefly, look
from dask_bacc.cluster.client import resolve_client
from dask_bacc.cluster.consume import consume, gather
from dask_bacc.cluster.launch import Launcher
from dask_bacc.cluster.options import RunOptions
from dask_bacc.cluster.partials import Partials
from dask_bacc.cluster.report import Ledger, RunReport
from dask_bacc.cluster.submit import run_graph
from dask_bacc.cluster.watch import watch
from dask_bacc.cluster.work import Decided, Work
from dask_bacc.coding import Code


class CodedRun:
    """A function running over the chunks of a coded array; made by `CodedArray.map`.

    Dropping the last reference to it before it has finished cancels it. With an asynchronous
    client it is awaitable, and so is what `result` returns.
    """

    def __init__(
        self,
        client: Client,
        launcher: Launcher,
        work: Work,
        decided: concurrent.futures.Future[Decided],
    ) -> None:
        self._client = client
        self._launcher = launcher
        self._work = work
        self._ledger = work.ledger
        self._decided = decided
        #: of the results that stayed on the workers, once they are wanted
        self._gathered: concurrent.futures.Future[Decided] | None = None
        self._lock = threading.Lock()
        # The event loop knows only the futures, never this object.
        weakref.finalize(self, _cancel, client, work, decided).atexit = False

    @property
    def report(self) -> RunReport:
        """How the run stands, or how it ended."""
        report = self._ledger.report()
        zombies = watch(self._client).zombies
        name = self._launcher.name
        running = {i: w for i, w in report.still_running.items() if (name, i) in zombies}
        return replace(report, still_running=running)

    @property
    def status(self) -> str:
        """``"pending"``, ``"finished"``, ``"error"`` or ``"cancelled"``, as futures have it."""
        if not self._decided.done():
            return "pending"
        if self._decided.cancelled():
            return "cancelled"
        return "error" if self._decided.exception() else "finished"

    def result(self, timeout: float | None = None) -> Any:
        """The decoded answer; waits for it.

        Results that stayed on the workers (those above ``bacc.gather-limit``, until somebody asks
        for them) are fetched.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait. The run goes on after that.

        Returns
        -------
        answer
            Arrays in the containers that the function returned; an awaitable of it with an
            asynchronous client.

        Raises
        ------
        TimeoutError
            If the answer is not there in time.
        DecodeError
            If the results give no answer.
        CancelledError
            If the run was cancelled.
        """
        if self._client.asynchronous:
            return self._wait(timeout)
        begin = time.monotonic()
        self._want()
        decided = self._decided.result(timeout)
        if decided.held:
            left = None if timeout is None else max(begin + timeout - time.monotonic(), 0)
            decided = self._gather().result(left)
        self._warn()
        return decided.answer

    def to_dask_array(self, timeout: float | None = None) -> Any:
        """The answer as dask arrays, decoded on the cluster from the results that workers hold.

        Waits until it is known how the results decode, and fetches none of them. The answer's
        blocks are its chunks along the axis that was cut. If there are workers to keep off,
        decoding starts at once on the others. Results below ``bacc.gather-limit`` come to the
        client in any case, and are sent back.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait. The run goes on after that.

        Returns
        -------
        answer
            Dask arrays in the containers that the function returned; an awaitable of it with an
            asynchronous client.

        Raises
        ------
        NotImplementedError
            With ``array.query-planning``, whose arrays cannot be made from a graph.
        TimeoutError, DecodeError, CancelledError
            As `result`.
        """
        if da.array_expr_enabled():
            raise NotImplementedError(
                "with array.query-planning a dask array cannot be made from results; use "
                "result(), or turn query-planning off"
            )
        loop: Any = self._client.loop
        lazily = self._lazily(timeout)
        if self._client.asynchronous:
            return lazily
        return asyncio.run_coroutine_threadsafe(lazily, loop.asyncio_loop).result()

    def partials(self) -> Partials:
        """Ever better answers while results come in, the last one being the run's.

        Iterate over it, with ``async for`` if the client is asynchronous. The run goes on whether
        or not anybody looks; with ``rtol=0`` until nothing more can come.

        Returns
        -------
        Partials
            An iterator over `Partial`.

        Raises
        ------
        DecodeError, CancelledError
            Where `result` would raise them.
        """
        self._want()
        return Partials(self._client, self._work, self._answered)

    def cancel(self) -> None:
        """Give up: cancel all chunks that have not returned and release everything."""
        _cancel(self._client, self._work, self._decided)

    def __await__(self) -> Generator[Any, None, Any]:
        return self._wait(None).__await__()

    async def _wait(self, timeout: float | None) -> Any:
        self._want()
        async with asyncio.timeout(timeout):
            answer = await self._answered()
        self._warn()
        return answer

    async def _answered(self) -> Any:
        decided = await _shielded(self._decided)
        if decided.held:
            decided = await _shielded(self._gather())
        return decided.answer

    async def _lazily(self, timeout: float | None) -> Any:
        async with asyncio.timeout(timeout):
            decided = await _shielded(self._gathered or self._decided)
        async with briefly():
            await look(self._client)
        self._warn()
        answer = self._work.lazily(decided, self._launcher.name, self._launcher.futures)
        if trusted := watch(self._client).trusted():
            # Preferred and no more: the array may outlive them.
            arrays, repack = unpack_collections(answer)
            persisted = await asyncio.to_thread(
                self._client.persist, arrays, workers=trusted, allow_other_workers=True
            )
            (answer,) = repack(persisted)
        return answer

    def _want(self) -> None:
        """Results are wanted here from now on."""
        if not self._decided.done() and not self._work.gathering:
            loop: Any = self._client.loop
            loop.add_callback(self._work.gather)

    def _gather(self) -> concurrent.futures.Future[Decided]:
        with self._lock:
            if self._gathered is None:
                self._work.gathering = True
                loop: Any = self._client.loop
                self._gathered = asyncio.run_coroutine_threadsafe(
                    gather(self._client, self._launcher, self._work), loop.asyncio_loop
                )
            return self._gathered

    def _warn(self) -> None:
        if message := self._ledger.warning:
            warnings.warn(message, RuntimeWarning, stacklevel=3)

    def __repr__(self) -> str:
        report = self.report
        return (
            f"<CodedRun: {self.status}, {len(report.returned)}/{report.n} returned, k={report.k}>"
        )

    def _repr_html_(self) -> str:
        # Display builds on this module, so it is looked up only when something is shown.
        from dask_bacc.display.html import run_html

        return run_html(self.status, self.report)


def start_run(
    chunks: Mapping[Key, Any],
    keys: Sequence[Sequence[Key]],
    func: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    code: Code,
    options: RunOptions,
    client: Client | None,
) -> CodedRun:
    """Submit a function over all chunks and start to consume the results.

    Parameters
    ----------
    chunks, keys, func, args, kwargs
        As in `run_graph`.
    code, options
    client : Client, optional
    """
    client = resolve_client(client)
    wanted = range(code.n) if options.decoder.uses_gram else ()
    sketched = set(wanted) - options.sketches.keys()
    limit = parse_bytes(dask.config.get("bacc.gather-limit"))
    graph = run_graph(chunks, keys, func, args, kwargs, sketched, limit)
    ledger = Ledger(code.k, code.n, options.decoder.name)
    parity = [chunk for chunk, own in enumerate(code.own_blocks) if own < 0]
    late = {key for chunk in parity for key in (*keys[chunk], (graph.name, chunk))}
    launcher = Launcher(client, graph, late, options.retries)
    first: Collection[int] = range(code.n)
    sources = set[Key]()
    if options.patience is not None:
        first = code.first_copies
        # Kept, so that parity can be made without making the blocks again.
        sources = {key for chunk in first for key in graph.sources_of(chunk)}
        ledger.spare(set(range(code.n)).difference(first))
    work = Work(code, options, ledger)
    # What comes after the answer is to refine it here.
    work.gathering = options.cancel == "keep"
    known = watch(client)
    # Before the tasks: what is sent to the scheduler arrives in order.
    known.listen(graph.name, work.news)
    try:
        launcher.launch(first, known.trusted(), sources=sources)
    except BaseException:
        known.unlisten(graph.name)
        raise
    consumer = consume(client, launcher, work)
    loop: Any = client.loop
    decided = asyncio.run_coroutine_threadsafe(consumer, loop.asyncio_loop)
    return CodedRun(client, launcher, work, decided)


async def _shielded(future: concurrent.futures.Future[Decided]) -> Decided:
    # One impatient waiter must not cancel the run for the others.
    return await asyncio.shield(asyncio.wrap_future(future))


def _cancel(client: Client, work: Work, decided: concurrent.futures.Future[Decided]) -> None:
    if not decided.done():
        decided.cancel()
    if (refining := work.refining) is not None:
        # Its loop may be closed already.
        with contextlib.suppress(RuntimeError):
            loop: Any = client.loop
            loop.add_callback(refining.cancel)
