"""What enters a run: messages and outcomes of its chunks."""

from __future__ import annotations

import pickle
from typing import Any

from dask_bacc.records.chunk import Attempted
from dask_bacc.records.errors import CombineError, DecodeError, RefusedError, misfit, refused
from dask_bacc.results.gaps import check_gaps
from dask_bacc.results.result import ResultSpec, join_axes
from dask_bacc.runtime.active import ActiveRun
from dask_bacc.runtime.entering import enter
from dask_bacc.runtime.fetch import Outcome
from dask_bacc.runtime.troubles import LEAVING
from dask_bacc.worker.brought import ChunkResult
from dask_bacc.worker.messages import Message


def take_message(run: ActiveRun, message: Message, worker: str) -> None:
    """Take in what a chunk says of itself, or its worker."""
    if message.state == "leaving":
        if worker in run.state.workers:
            run.state.leaving.add(worker)
            run.state.troubles[worker] = LEAVING
            run.wake()
        return
    if message.state == "slow":
        if message.payload is not None:
            run.store.add_sketches(message.chunk, pickle.loads(message.payload))
        # Estimates may be better for it.
        run.situation.fresh = True
        run.wake()
        return
    enter(run.state, message, worker)
    run.inline.take(message)
    if message.state == "done":
        _bring(run, (message.chunk, message.attempt), worker)
        if run.situation.copies_again:
            # A worker may be idle now.
            run.situation.copies_again = 0.0
            run.wake()


def bring_all(run: ActiveRun) -> None:
    """Take the results that came with messages before they were waited for."""
    for chunk, number in run.inline.places():
        if (known := run.state.records[chunk].attempt_at(number)) and known.worker is not None:
            _bring(run, (chunk, number), known.worker)


def _bring(run: ActiveRun, attempted: Attempted, worker: str) -> None:
    """Take the result that came with the message: its future learns of it later."""
    (chunk, number), whole = attempted, run.inline.whole(attempted)
    if whole is None or run.store.is_refetched(chunk):
        return
    known = run.state.records[chunk].attempt_at(number)
    if known is None or known.worker != worker:
        # Another worker, to which the chunk was taken since, may still be at it.
        return
    if run.bring(attempted, whole):
        run.inline.give_away(attempted)


async def known_result(
    run: ActiveRun, attempted: Attempted, *, failed: bool
) -> ChunkResult | None:
    """What to take for a result instead of fetching it; None to fetch it."""
    if run.store.is_refetched(attempted[0]):
        return None
    brought = await run.inline.of(attempted, failed=failed)
    if brought is not None and brought.result is None and run.wanted_here:
        return None
    return brought


def take_outcome(run: ActiveRun, outcome: Outcome) -> None:
    """Take in a chunk's outcome.

    Raises
    ------
    DecodeError
        If the chunk is refused, or its result does not fit the others.
    ValueError
        If the result cannot be joined.
    """
    (chunk, attempt), state = outcome.index, run.state
    if outcome.cancelled:
        state.lose(chunk, attempt)
    elif outcome.exception is not None:
        state.take_error(chunk, outcome.exception, attempt)
        if isinstance(outcome.exception, RefusedError):
            raise refused(state.report(), chunk, outcome.exception)
    else:
        brought: ChunkResult = outcome.value
        try:
            _check_fits(run, chunk, brought.spec)
        except ValueError as error:
            state.take_error(chunk, error, attempt)
            raise CombineError(str(error), state.report(), _so_far(run, chunk, brought)) from None
        except DecodeError as error:
            state.take_error(chunk, error, attempt)
            error.results = _so_far(run, chunk, brought)
            raise
        run.decider.take_precision(brought.spec.dtypes)
        run.store.add(chunk, brought)
        state.take_result(chunk, attempt, finite=brought.spec.finite)


def _so_far(run: ActiveRun, chunk: int, brought: ChunkResult) -> dict[int, Any]:
    """What chunks returned, as far as it is here, this one's included."""
    own = {} if brought.result is None else {chunk: brought.result.value()}
    return run.store.values() | own


def _check_fits(run: ActiveRun, chunk: int, spec: ResultSpec) -> None:
    """Refuse a result of another structure than the first, or that cannot be joined."""
    first, expected = next(iter(run.store.specs.items()), (chunk, spec))
    if not spec.matches(expected):
        raise misfit(run.state.report(), first, str(expected), chunk, str(spec))
    join_axes(spec.layout, run.decider.joining)
    if run.encoded.gaps is not None:
        check_gaps(spec.layout, run.encoded.cuts)
