"""The loop of a run: performs the steps of the schedule until it is time to decode."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

from distributed import Future

from dask_bacc.engine.scheduler import briefly, is_open
from dask_bacc.policy.schedule import next_step
from dask_bacc.policy.situation import Rules, Situation
from dask_bacc.policy.steps import Estimate, Finish, LaunchBackups, LaunchCopies, Probe, Wait
from dask_bacc.policy.stop import is_complete
from dask_bacc.records.chunk import Attempted
from dask_bacc.records.events import Stop
from dask_bacc.runtime.active import ActiveRun, nobody, nowhere
from dask_bacc.runtime.copies import launch_copies
from dask_bacc.runtime.errand import Errand
from dask_bacc.runtime.fetch import Fetcher
from dask_bacc.runtime.intake import bring_all, known_result, take_outcome
from dask_bacc.runtime.recover import recover_given_up, recover_stuck
from dask_bacc.runtime.submit import Allowed
from dask_bacc.runtime.troubles import note_troubles

#: Deciding what is next takes time in proportion to the number of chunks, and finding idle workers
#: to that of tasks. That many times as long passes before anybody looks again.
SELDOM = 50.0
#: Seconds after which idle workers are looked for again, if there was none and nothing comes, at
#: least; and those from which on fewer times as long as looking took pass before, for a scheduler
#: that is slow to answer may have been asked at a bad moment.
NOBODY_IDLE, SOME_TIME, LESS_SELDOM = 0.05, 1.0, 10.0


async def collect(
    run: ActiveRun, futures: Mapping[Attempted, Future[Any]], deadline: float | None
) -> Stop:
    """Collect results until it is time to decode.

    Parameters
    ----------
    run : ActiveRun
    futures : mapping of pairs of int to Future
        Of the attempts that are waited for, by chunk and number.
    deadline : float or None
        Seconds since the run was submitted after which it ends with what has come.

    Raises
    ------
    DecodeError, ValueError
        If a result is refused.
    """
    state = run.state
    begin = state.elapsed
    situation = Situation(
        state, began=begin, came=begin, fresh=True, probed=begin, foresight=run.foresight
    )
    run.situation = situation
    over = state.stopped is Stop.DEADLINE
    async with (
        fetcher_of(run, futures) as fetcher,
        _woken_by(run, fetcher),
        Errand(fetcher.wake) as errand,
    ):
        while True:
            await _take_in(run, fetcher, errand)
            if (found := errand.outcome()) is not None:
                return found
            rules = run.rules(deadline)
            situation.busy = errand.under_way
            situation.may_launch = is_open(run.client) and not over
            now = state.elapsed
            step = next_step(rules, situation, now)
            after = state.elapsed
            # A step that did not look takes no time, and must not end the rest after one that did.
            rested = after + SELDOM * (after - now)
            situation.rest_until = max(situation.rest_until, rested)
            match step:
                case Finish(reason):
                    return reason
                case Wait(until):
                    await fetcher.wait(max(until - state.elapsed, 0))
                case Estimate():
                    errand.start(_estimate(run, fetcher))
                case LaunchCopies():
                    errand.start(_launch_copies(run, fetcher, step, rules))
                case LaunchBackups():
                    errand.start(_launch_backups(run, fetcher, step, rules))
                case Probe():
                    situation.probed = now
                    errand.start(recover_stuck(run, fetcher, rules.deadline - now))


@contextlib.asynccontextmanager
async def _woken_by(run: ActiveRun, fetcher: Fetcher) -> AsyncIterator[None]:
    """What enters the run by another way goes to the fetcher, for as long as there is one."""
    run.wake, run.bring = fetcher.wake, fetcher.bring
    bring_all(run)
    try:
        yield
    finally:
        # The two would keep each other, and the results' futures, until garbage is collected.
        run.wake, run.bring = nobody, nowhere


def fetcher_of(run: ActiveRun, futures: Mapping[Attempted, Future[Any]]) -> Fetcher:
    """What brings outcomes of futures to the run."""
    state = run.state

    async def known(attempted: Attempted, *, failed: bool) -> Any:
        return await known_result(run, attempted, failed=failed)

    def lane_of(attempted: Attempted) -> str:
        chunk, number = attempted
        known = state.records[chunk].attempt_at(number)
        return (known and known.worker) or f"chunk {attempted}"

    return Fetcher(run.client, futures, lane_of, known)


async def _take_in(run: ActiveRun, fetcher: Fetcher, errand: Errand) -> None:
    """Take in all that is at hand."""
    if run.wanted_here and run.store.on_workers:
        chunks = run.store.refetch()
        run.state.refetch(chunks)
        run.decider.restart()
        attempts = [run.state.attempted(chunk) for chunk in chunks]
        fetcher.add({attempted: run.launcher.futures[attempted] for attempted in attempts})
    given_up, came = [], False
    while fetcher.ready():
        outcome = await fetcher.take()
        chunk, attempt = outcome.index
        going_on = run.state.records[chunk].going_on
        if attempt not in going_on:
            continue
        came = True
        if outcome.cancelled and len(going_on) == 1:
            given_up.append(chunk)
            continue
        take_outcome(run, outcome)
        if len(going_on) > 1 and not run.state.is_open(chunk):
            await run.drop([(chunk, other) for other in going_on if other != attempt])
    # What was cancelled may have come with a message before.
    given_up = [chunk for chunk in given_up if run.state.is_open(chunk)]
    if given_up:
        # Both may launch the same chunks.
        await errand.settled()
        await recover_given_up(run, fetcher, given_up)
    if came:
        run.situation.arrived(run.state.elapsed, run.options.enough)
    run.notify()


async def _estimate(run: ActiveRun, fetcher: Fetcher) -> Stop | None:
    """Why to decode the results that are in, if they are good enough."""
    situation, state = run.situation, run.state
    situation.fresh = False
    begin, count = state.elapsed, len(state.returned)
    enough = situation.needed(run.options.enough)
    verdict = await run.decider.accurate(run.store.snapshot(begin), enough)
    state.solving = run.decider.seconds
    situation.estimated(count, verdict.foresight, state.elapsed, state.elapsed - begin)
    situation.estimate_again = verdict.again
    # Exact is better, if it costs nothing.
    complete = is_complete(run.code, [*state.returned, *fetcher.ready_results()])
    return Stop.ENOUGH if verdict.good and not complete else None


async def _launch_copies(
    run: ActiveRun, fetcher: Fetcher, step: LaunchCopies, rules: Rules
) -> None:
    """Launch chunks once more, and if nobody has time for one, say when to look again."""
    situation, state = run.situation, run.state
    begin = state.elapsed
    seconds = rules.deadline - begin
    if not await launch_copies(run, fetcher, step.chunks, step.useless, seconds):
        took = state.elapsed - begin
        again = max(NOBODY_IDLE, min(SELDOM * took, max(SOME_TIME, LESS_SELDOM * took)))
        situation.copies_again = state.elapsed + again


async def _launch_backups(
    run: ActiveRun, fetcher: Fetcher, step: LaunchBackups, rules: Rules
) -> None:
    """Launch chunks in place of late ones, away from the workers of those."""
    chunks, late = step.chunks, step.late
    state, launcher, monitor = run.state, run.launcher, run.monitor
    async with briefly(rules.deadline - state.elapsed):
        await monitor.refresh(run.client)
        note_troubles(state, monitor, run.options.timing.unresponsive_after)
    kept_off = {worker for chunk in late if (worker := state.records[chunk].worker) is not None}
    available = monitor.available(kept_off | state.slow.keys())
    lost = await asyncio.to_thread(launcher.lost)
    state.launch(chunks)
    state.give_up(lost.intersection(chunks))
    left = [chunk for chunk in chunks if chunk not in lost]
    fetcher.add(await asyncio.to_thread(launcher.launch, left, Allowed(available)))
