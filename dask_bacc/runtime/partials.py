"""Ever better answers of a run."""

from __future__ import annotations

import asyncio
import concurrent.futures
from typing import Self

from distributed import Client

from dask_bacc.records.report import Partial
from dask_bacc.runtime.answer import Answer
from dask_bacc.runtime.client import on_loop


class Partials:
    """Iterator over the answers of a run while results come in; made by `CodedRun.partials`.

    An answer that is overtaken by new results before anybody asks for it is never computed.
    """

    def __init__(self, client: Client, answer: Answer, run: object) -> None:
        self._client = client
        self._answer = answer
        # It must not end because nobody else knows it any more.
        self._run = run
        self._seen = 0
        self._ended = False

    def __iter__(self) -> Self:
        if self._client.asynchronous:
            raise TypeError("the client is asynchronous; use `async for` over partials()")
        return self

    def __next__(self) -> Partial:
        partial = self._ask().result()
        if partial is None:
            raise StopIteration
        return partial

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Partial:
        # The client's event loop may be another one than the caller's.
        partial = await asyncio.wrap_future(self._ask())
        if partial is None:
            raise StopAsyncIteration
        return partial

    def _ask(self) -> concurrent.futures.Future[Partial | None]:
        return on_loop(self._client, self._next())

    async def _next(self) -> Partial | None:
        run = self._answer.run
        while not self._ended:
            changed, refining = run.changed, run.refining
            if run.state.finished is not None and (refining is None or refining.done()):
                self._ended = True
                # Raises what the run raised.
                answer = await self._answer.here()
                if refining is None:
                    report = run.state.report()
                    count = len(report.returned)
                    return Partial(answer, report.error, report.block_error, count)
            if run.store.count > self._seen:
                self._seen = run.store.count
                partial = await run.decider.partial(run.store.snapshot(run.state.elapsed))
                if partial is not None:
                    return partial
            elif not self._ended:
                await changed.wait()
        return None
