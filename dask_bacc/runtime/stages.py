"""The stages of a run: collect and decode; fetch what stayed on workers; refine."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from distributed import Future

from dask_bacc.coding import lost_blocks
from dask_bacc.engine.scheduler import in_background
from dask_bacc.records.errors import DecodeError, no_answer, warning_about
from dask_bacc.records.events import Stop
from dask_bacc.results.result import FlatResult
from dask_bacc.results.solutions import Returned
from dask_bacc.results.solved import Solved
from dask_bacc.runtime.active import ActiveRun
from dask_bacc.runtime.collect import collect, fetcher_of
from dask_bacc.runtime.intake import take_message, take_outcome
from dask_bacc.runtime.release import release, tell_how_it_ended

#: Seconds for which the cluster is left as it is while results decode: workers that let go of them
#: take the processor from it, if they share one.
HEAD_START = 0.05


@dataclass(frozen=True, eq=False)
class Decided:
    """What the results of a run decode to."""

    solved: Solved
    #: the answer; None if results are still on the workers, or give none
    answer: Any = None
    #: whether they are
    on_workers: bool = False
    #: those that are here nevertheless
    here: Mapping[int, FlatResult] = field(default_factory=dict)


#: Results, and what they decode to; None if there are none.
_Found = tuple[Returned, Decided | None]


async def run_to_answer(run: ActiveRun) -> Decided:
    """Collect results, let go of what is left on the cluster, and decode what is all here.

    Raises
    ------
    DecodeError
        If the results give no answer.
    """
    run.began = True
    state, options = run.state, run.options
    going_on = on_workers = False
    solving: asyncio.Task[_Found] | None = None
    try:
        try:
            state.stopped = await collect(run, run.launcher.futures, options.deadline)
            if state.stopped is Stop.DEADLINE:
                _restore(run)
            going_on = options.cancel == "keep" and state.stopped is not Stop.COMPLETE
            if state.stopped is Stop.ENOUGH:
                solving = asyncio.create_task(_solve(run))
                await asyncio.wait({solving}, timeout=HEAD_START)
        finally:
            if not going_on:
                await release(run, options.cancel, keep=_kept(run))
        decided = _decide(run, *await (solving or _solve(run)))
        on_workers = decided.on_workers
        return decided
    except BaseException as error:
        if solving is not None:
            _abandon(solving)
            # The error has this frame, and the task may have the error.
            solving = None
        if isinstance(error, DecodeError) and not error.results:
            error.results = run.store.values()
        if going_on:
            await release(run, "cancel")
            going_on = False
        run.launcher.let_go()
        raise
    finally:
        state.finish()
        in_background(tell_how_it_ended(run))
        if going_on:
            run.refining = asyncio.create_task(_refine(run))
            # What is cancelled before its first step never gets to clean up.
            try:
                await asyncio.sleep(0)
            except asyncio.CancelledError:
                run.refining.cancel()
                raise
        if not going_on and not on_workers:
            run.forget_results()
        run.notify()


async def fetch_and_decode(run: ActiveRun) -> Decided:
    """Fetch the results that are still on the workers, and decode.

    The same schedule as before says when enough of them are here: a worker that hangs by now keeps
    nobody waiting. If the run has a deadline, this may take as long as the run might.
    """
    state, options = run.state, run.options
    before, until = state.stopped, None
    if options.deadline is not None:
        patience = max(options.deadline, options.timing.unresponsive_after)
        until = state.elapsed + patience
    run.monitor.listen(run.name, lambda *said: take_message(run, *said))
    try:
        reason = await collect(run, {}, until)
        # What a deadline had to do with does.
        done = before is Stop.DEADLINE and reason is Stop.ENDED
        state.stopped = before if done else reason
        return _decide(run, *await _solve(run))
    finally:
        await release(run, "cancel")
        run.forget_results()
        run.notify()


async def abandon(run: ActiveRun) -> None:
    """Clean up after a run that was cancelled before its first step."""
    if run.began:
        return
    await release(run, run.options.cancel)
    run.state.finish()
    run.notify()


async def _solve(run: ActiveRun) -> _Found:
    """How the results decode in the end, and what they decode to if they are all here."""
    returned = run.store.snapshot(run.state.elapsed)
    if not returned.specs:
        return returned, None
    solved = await run.decider.decide(returned)
    if run.store.on_workers or any(past.result is None for past in solved.earlier):
        return returned, Decided(solved, on_workers=True, here=returned.results)
    if _has_too_few(run, solved) or lost_blocks(solved.estimate.by_block):
        return returned, Decided(solved)
    return returned, Decided(solved, await run.decider.answer(solved, returned.results))


def _abandon(solving: asyncio.Task[_Found]) -> None:
    """Nobody asks what comes of it any more."""
    solving.cancel()
    solving.add_done_callback(lambda task: task.cancelled() or task.exception())


def _decide(run: ActiveRun, returned: Returned, decided: Decided | None) -> Decided:
    """Take what the results come to as the run's answer.

    Raises
    ------
    DecodeError
        If there are too few of them, or blocks are lost.
    """
    state, options = run.state, run.options
    integers = run.encoded.integers
    too_few = f"{options.enough} were needed"
    if decided is None:
        raise no_answer(state.report(), too_few, integers=integers)
    solved = decided.solved
    state.solving, state.estimate = run.decider.seconds, solved.estimate
    if _has_too_few(run, solved):
        raise no_answer(state.report(), too_few, integers=integers)
    if lost := lost_blocks(solved.estimate.by_block):
        reason = f"blocks {', '.join(map(str, lost))} are lost"
        raise no_answer(state.report(), reason, integers=integers)
    if run.earlier is not None:
        held = {chunk: _held(run, chunk) for chunk in run.store.on_workers}
        suspects = solved.estimate.suspects
        run.earlier.keep(returned.specs, returned.results, suspects, held)
    state.answered = True
    state.warning = warning_about(
        state.report(),
        enough=None if len(solved.chunks) >= options.enough else options.enough,
        deadline=options.deadline,
        rtol=options.rtol,
        replaced=options.suspects == "replace",
    )
    return decided


def _has_too_few(run: ActiveRun, solved: Solved) -> bool:
    """Whether results do not count: at the deadline the user takes what has come, else not."""
    return run.state.stopped is Stop.ENDED and len(solved.chunks) < run.options.enough


def _kept(run: ActiveRun) -> list[int]:
    """Chunks whose results stay on the cluster: all, or none once all are here."""
    return list(run.store.specs) if run.store.on_workers else []


def _held(run: ActiveRun, chunk: int) -> tuple[Future[Any], str | None]:
    """What keeps a result on a worker, and which."""
    return run.launcher.futures[run.state.attempted(chunk)], run.state.records[chunk].worker


def _restore(run: ActiveRun) -> None:
    """Count once more what was to be fetched, has not come in time, and is still there."""
    futures = run.launcher.futures
    for chunk in run.store.refetched():
        if run.state.is_open(chunk) and futures[run.state.attempted(chunk)].status == "finished":
            run.store.restore(chunk)
            run.state.take_result(chunk)


async def _refine(run: ActiveRun) -> None:
    """Take the results that come after the answer, until none is left to come."""
    state = run.state
    # Nothing here has a name of its own: the frame of what is cancelled lives on for a while.
    fetcher = fetcher_of(
        run, {a: future for a, future in run.launcher.futures.items() if state.is_open(a[0])}
    )
    try:
        async with fetcher:
            while state.outstanding:
                # What does not fit is known of, and the answer is there already.
                with contextlib.suppress(DecodeError, ValueError):
                    take_outcome(run, await fetcher.take())
                run.notify()
    finally:
        await release(run, "cancel")
        run.notify()
