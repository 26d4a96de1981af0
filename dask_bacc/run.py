"""A run: one submission of a function over all chunks, to its decoded answer."""

from __future__ import annotations

import concurrent.futures
import weakref
from collections.abc import Callable, Generator
from dataclasses import replace
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import dask.array as da
import dask.threaded
import numpy as np
from dask.typing import Key
from distributed import Client

from dask_bacc.display.html import run_html
from dask_bacc.display.report import ShownReport
from dask_bacc.display.timeline import timeline
from dask_bacc.engine.scheduler import on_event_loop
from dask_bacc.engine.tasks import DataNode
from dask_bacc.policy.lateness import late_chunks
from dask_bacc.records.errors import DecodeError, without_ours
from dask_bacc.records.events import Listener, RunEvent
from dask_bacc.records.report import RunReport, waited_for
from dask_bacc.records.state import RunState
from dask_bacc.runtime.answer import Answer
from dask_bacc.runtime.partials import Partials

if TYPE_CHECKING:
    from matplotlib.axes import Axes


#: What the answer is.
R = TypeVar("R")


class CodedRun(Generic[R]):
    """A function running over the chunks of a coded array; made by `CodedArray.map`.

    Dropping the last reference to it before it has finished cancels it. With an asynchronous
    client it is awaitable, and so is what `result` returns.
    """

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._client: Client = answer.run.client
        self._state: RunState = answer.run.state
        # The event loop never knows this object.
        finalizer = weakref.finalize(self, answer.cancel)
        finalizer.atexit = False

        def ended(decided: concurrent.futures.Future[Any]) -> None:
            # The traceback of an error may lead back here, and would keep all it leads to.
            if decided.cancelled() or decided.exception() is not None:
                finalizer.detach()

        answer.decided.add_done_callback(ended)

    @property
    def report(self) -> RunReport:
        """How the run stands, or how it ended."""
        return ShownReport.of(report_of(self._answer), self.status)

    @property
    def status(self) -> str:
        """``"pending"``, ``"finished"``, ``"error"`` or ``"cancelled"``, as futures have it."""
        return self._answer.status

    def result(self, timeout: float | None = None) -> R:
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
            If the results give no answer, or a chunk returned what can never be decoded: no
            numbers, masked arrays, integers beyond ``2**53``.
        CombineError
            A ValueError: if they have no axis to be joined along, as scalars, or it is not clear
            which; as soon as the first result is in. What has come is in its ``results``, and in
            those of a DecodeError.
        OverflowError
            If the answer is too large for its dtype, or results are for an estimate.
        CancelledError
            If the run was cancelled.
        """
        if self._client.asynchronous:
            # Of whoever has such a client, the answer is awaited.
            return cast(R, self._wait(timeout))
        try:
            answer: R = self._answer.wait(timeout)
        except TimeoutError:
            raise TimeoutError(f"no answer in {timeout:g} s: {waited_for(self.report)}") from None
        except DecodeError as error:
            # Frames of the event loop, and of what runs functions, tell nobody anything.
            raise error.with_traceback(None) from without_ours(error.__cause__)
        self._answer.warn()
        return answer

    def done(self) -> bool:
        """Whether the run is over, with an answer or without; as futures have it."""
        return self.status != "pending"

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        """The answer as a NumPy array; waits for it."""
        return np.array(self.result(), dtype=dtype, copy=copy)

    def __dask_graph__(self) -> dict[Key, Any]:
        # Whoever computes it wants the answer, and where that is made is settled.
        return {self._name: DataNode(self._name, self.result())}

    def __dask_keys__(self) -> list[Key]:
        return [self._name]

    def __dask_tokenize__(self) -> str:
        return self._name

    def __dask_postcompute__(self) -> tuple[Callable[..., Any], tuple[()]]:
        return itemgetter(0), ()

    __dask_optimize__ = None
    __dask_scheduler__ = staticmethod(dask.threaded.get)

    @property
    def _name(self) -> str:
        return f"answer-{self._answer.run.name}"

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
        TypeError
            With ``combine="list"``, and of arrays that were encoded with ``nan="fill"``.
        TimeoutError, DecodeError, CancelledError
            As `result`.
        """
        if da.array_expr_enabled():
            raise NotImplementedError(
                "with array.query-planning a dask array cannot be made from results; use "
                "result(), or turn query-planning off"
            )
        if self._answer.run.options.combine == "list":
            raise TypeError(
                "combine='list' gives a list of whatever the function returns; use "
                "result(), or combine='concat' or 'stack' for dask arrays"
            )
        if self._answer.run.encoded.gaps is not None:
            raise TypeError(
                "with nan='fill', where NaN belongs is found out here; use result(), or fill NaN "
                "before encode and mask the dask array"
            )
        if self._client.asynchronous:
            return self._wait_lazily(timeout)
        answer = self._answer.wait_lazily(timeout)
        self._answer.warn()
        return answer

    def partials(self) -> Partials:
        """Ever better answers while results come in, the last one being the run's.

        Iterate over it, with ``async for`` if the client is asynchronous. The run goes on whether
        or not anybody looks; with ``rtol=0`` until every block's own result is in or nothing more
        can come. With ``cancel="keep"`` better ones may follow the run's own.

        Returns
        -------
        Partials
            An iterator over `Partial`.

        Raises
        ------
        DecodeError, CancelledError
            Where `result` would raise them.
        """
        self._answer.want()
        return Partials(self._client, self._answer, self)

    def on_event(self, callback: Callable[[RunEvent], object]) -> Callable[[], None]:
        """Call back for everything that has happened in the run, and for all that will.

        Parameters
        ----------
        callback : callable
            Called with each `RunEvent` in order, on the thread of the client's event loop: it must
            be quick and wait for nothing. One that raises is logged and not called again. While
            the run goes on, the callback and what it refers to are kept.

        Returns
        -------
        callable
            Stops the calls.

        Raises
        ------
        TypeError
            If `callback` cannot be called.
        """
        if not callable(callback):
            raise TypeError(f"callback must be callable, got {type(callback).__name__}")
        listener = Listener(callback)
        events = self._state.events
        if not on_event_loop(self._client, events.listen, listener):
            # The client is closed and its loop with it: nothing more will happen.
            events.listen(listener)
        return listener.stop

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw when each chunk ran, on which worker, and how it ended.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            By default those of a new figure.

        Returns
        -------
        matplotlib.axes.Axes

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        return timeline(self.report, ax)

    def cancel(self) -> None:
        """Give up: cancel all chunks that have not returned and release everything."""
        self._answer.cancel()

    def __await__(self) -> Generator[Any, None, R]:
        return self._wait(None).__await__()

    async def _wait(self, timeout: float | None) -> R:
        answer: R = await self._answer.here(timeout)
        self._answer.warn()
        return answer

    async def _wait_lazily(self, timeout: float | None) -> Any:
        answer = await self._answer.lazily(timeout)
        self._answer.warn()
        return answer

    def __repr__(self) -> str:
        report = self.report
        return (
            f"<CodedRun: {self.status}, {len(report.returned)}/{report.n} returned, k={report.k}>"
        )

    def _repr_html_(self) -> str:
        return run_html(self.status, self.report)


def report_of(answer: Answer) -> RunReport:
    """How a run stands, with chunks that are late by its own measure, and its error so far."""
    run, state = answer.run, answer.run.state
    report = state.report()
    if report.stopped is not None:
        return report
    now, patience = report.seconds, run.options.patience
    late, _ = late_chunks(report.chunks, now, patience, state.slow.keys(), state.leaving)
    return replace(report, late=tuple(sorted(late)), error=run.decider.error_so_far)
