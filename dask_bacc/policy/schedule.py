"""What a run does next: one pure function for runs on clusters and for simulated ones."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dask_bacc.coding import Code, Decoder
from dask_bacc.policy.backups import Patience, backups, late_chunks
from dask_bacc.policy.copies import copies
from dask_bacc.policy.stop import why_stop
from dask_bacc.policy.timing import Timing
from dask_bacc.records.events import Stop
from dask_bacc.records.state import RunState

#: Where chunks end together, the blocks' own results make estimates needless: they wait until
#: nothing has come for this share of the run's time, and not for longer than that share of it.
CALM, CALM_AT_MOST = 0.01, 0.05


@dataclass(frozen=True)
class Rules:
    """What a run goes by from its first step to its last."""

    code: Code
    decoder: Decoder
    #: results that are needed at least
    enough: int
    #: whether the estimated error decides if they are good enough
    estimates: bool
    #: seconds after which the run ends with what has come; inf for none
    deadline: float
    #: who is late
    patience: Patience
    #: whether parity chunks are launched for blocks that are late
    parity: bool
    #: whether blocks that are late may be run once more elsewhere
    copies: bool
    #: whether only an exact answer will do
    exact: bool
    timing: Timing


@dataclass
class Situation:
    """How a run stands, as far as that says what it does next; see `next_step`.

    Who performs the steps keeps it up. Times are in seconds since the run was submitted.
    """

    state: RunState
    #: when results began to be collected
    began: float = 0.0
    #: when something came last
    came: float = 0.0
    #: when as many results as needed were in
    enough_since: float = math.inf
    #: whether something has come that the last estimate does not know
    fresh: bool = False
    #: when the same results may be good enough, for then there is time for a closer look
    estimate_again: float = math.inf
    #: when workers were probed last
    probed: float = 0.0
    #: time until which nobody looks for late chunks: looking takes time, too
    rest_until: float = 0.0
    #: whether more chunks can be launched
    may_launch: bool = True
    #: time until which nobody looks for idle workers
    copies_again: float = 0.0

    def arrived(self, now: float, enough: int) -> None:
        """Outcomes of chunks were taken in; so many results are needed."""
        self.came, self.fresh, self.copies_again = now, True, 0.0
        if len(self.state.returned) >= enough:
            self.enough_since = min(self.enough_since, now)


@dataclass(frozen=True)
class Wait:
    """Until something comes, or until this time."""

    until: float


@dataclass(frozen=True)
class Estimate:
    """Find out whether the results that are in are good enough."""


@dataclass(frozen=True)
class LaunchBackups:
    """Launch these chunks, in place of some that are late."""

    chunks: tuple[int, ...]
    late: tuple[int, ...]


@dataclass(frozen=True)
class LaunchCopies:
    """Launch these chunks once more on idle workers, those first that come first."""

    chunks: tuple[int, ...]


@dataclass(frozen=True)
class Probe:
    """Ask which workers respond, and launch what is stuck once more."""


@dataclass(frozen=True)
class Finish:
    """Decode what is in."""

    reason: Stop


Step = Wait | Estimate | LaunchBackups | LaunchCopies | Probe | Finish


def next_step(rules: Rules, situation: Situation, now: float) -> Step:
    """What a run does next; nothing is changed.

    Parameters
    ----------
    rules : Rules
    situation : Situation
        All that has come is taken in.
    now : float
        Seconds since the run was submitted.

    Examples
    --------
    >>> from dask_bacc import coding
    >>> state = RunState(k=2, n=3, decoder="least squares", clock=lambda: 0.0)
    >>> rules = Rules(coding.Local(2, 3), coding.LeastSquares(), enough=2, estimates=False,
    ...               deadline=9.0, patience=Patience(0.5, 1.5, 0.1), parity=False, copies=False,
    ...               exact=False, timing=Timing(probe_every=2.0))
    >>> next_step(rules, Situation(state), now=0.5)
    Wait(until=2.0)
    >>> next_step(rules, Situation(state), now=2.5)
    Probe()
    >>> state.take_result(2), state.take_result(0)
    (None, None)
    >>> next_step(rules, Situation(state), now=0.5)
    Finish(reason=<Stop.ENOUGH: 'enough results'>)
    """
    state = situation.state
    by_estimate = rules.estimates and len(state.returned) >= rules.enough
    reason = why_stop(
        rules.code,
        rules.decoder,
        returned=state.returned,
        outstanding=state.outstanding,
        enough=rules.enough,
        accurate=not by_estimate,
        elapsed=now,
        deadline=rules.deadline,
    )
    if reason not in (None, Stop.ENDED):
        return Finish(reason)
    due = rules.deadline
    if by_estimate:
        calm = _calm(situation)
        if situation.fresh and (reason is not None or now >= calm):
            return Estimate()
        if situation.fresh:
            return Wait(min(due, calm))
        if now >= situation.estimate_again:
            return Estimate()
        due = min(due, situation.estimate_again)
    if situation.may_launch and (rules.parity or rules.copies):
        if now < situation.rest_until:
            return Wait(min(due, situation.rest_until))
        launch, again = _launch(rules, situation, now)
        if launch is not None:
            return launch
        due = min(due, again)
    if reason is not None:
        return Finish(reason)
    probe_at = max(situation.probed, state.moved) + rules.timing.probe_every
    return Probe() if now >= probe_at else Wait(min(due, probe_at))


def _launch(
    rules: Rules, situation: Situation, now: float
) -> tuple[LaunchBackups | LaunchCopies | None, float]:
    """What is to be launched now, and when there may be something else."""
    state, again = situation.state, math.inf
    if rules.parity:
        late, again = late_chunks(state.records, now, rules.patience)
        # Parity is no answer where only an exact one will do, but for blocks that are lost.
        late = set() if rules.exact else late
        if wanted := backups(rules.code, state.records, late, rules.enough):
            return LaunchBackups(tuple(wanted), tuple(sorted(late))), again
    if rules.copies and (rules.exact or not _parity_to_come(rules, state)):
        if now < situation.copies_again:
            return None, min(again, situation.copies_again)
        chosen, later = copies(rules.code, state.records, now, rules.patience)
        if chosen:
            return LaunchCopies(tuple(chosen)), again
        again = min(again, later)
    return None, again


def _parity_to_come(rules: Rules, state: RunState) -> bool:
    """Whether a chunk that is mixed of several blocks may still come."""
    own = rules.code.own_blocks
    return any(
        own[chunk] < 0 and (record.is_open or (rules.parity and record.state == "spare"))
        for chunk, record in enumerate(state.records)
    )


def _calm(situation: Situation) -> float:
    """When nothing has come for long enough to estimate."""
    came, enough, began = situation.came, situation.enough_since, situation.began
    return min(came + CALM * (came - began), enough + CALM_AT_MOST * (enough - began))
