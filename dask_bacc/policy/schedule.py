"""What a run does next: one pure function for runs on clusters and for simulated ones."""

from __future__ import annotations

from dask_bacc.policy.launching import what_to_launch
from dask_bacc.policy.situation import Rules, Situation
from dask_bacc.policy.steps import Estimate, Finish, Probe, Step, Wait
from dask_bacc.policy.stop import why_stop
from dask_bacc.records.events import Stop

#: Where chunks end together, the blocks' own results make estimates needless: they wait until
#: nothing has come for this share of the run's time, and not for longer than that share of it.
#: Results that come one by one, further apart than the former, are not waited for.
CALM, CALM_AT_MOST = 0.01, 0.05
#: Seconds that an estimate takes for each result, as long as none was made; how many times as long
#: as the last one took passes before the next while results still come; and what share of that
#: nothing has come for, where the others would be here sooner than an estimate.
GUESS, APART, STALLED = 1e-3, 4.0, 0.25


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
    >>> from dask_bacc.policy.lateness import Patience
    >>> from dask_bacc.policy.timing import Timing
    >>> from dask_bacc.records.state import RunState
    >>> state = RunState(k=2, n=3, decoder="least squares", clock=lambda: 0.0)
    >>> rules = Rules(coding.Local(2, 3), coding.LeastSquares(), enough=2, estimates=False,
    ...               rtol=0.1, deadline=9.0, patience=Patience(0.5, 1.5, 0.1), parity=False,
    ...               copies=False, exact=False, timing=Timing(probe_every=2.0))
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
    enough = rules.enough
    if rules.decoder.estimates_error:
        enough = situation.needed(enough)
    by_estimate = rules.estimates and len(state.returned) >= enough
    reason = why_stop(
        rules.code,
        rules.decoder,
        returned=state.returned,
        outstanding=state.outstanding,
        enough=enough,
        accurate=not by_estimate,
        elapsed=now,
        deadline=rules.deadline,
    )
    if reason not in (None, Stop.ENDED):
        return Finish(reason)
    due = rules.deadline
    if situation.busy:
        return Wait(due)
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
        launch, again = what_to_launch(rules, situation, now)
        if launch is not None:
            return launch
        due = min(due, again)
    if reason is not None:
        return Finish(reason)
    probe_at = max(situation.probed, state.moved) + rules.timing.probe_every
    return Probe() if now >= probe_at else Wait(min(due, probe_at))


def _calm(situation: Situation) -> float:
    """When nothing has come for long enough to estimate."""
    came, enough, began = situation.came, situation.enough_since, situation.began
    calm, count = CALM * (came - began), len(situation.state.returned)
    price = GUESS * count if situation.price is None else situation.price
    if situation.state.outstanding * (came - began) / count < price:
        return came + max(calm, STALLED * price)
    if situation.gap > calm:
        return came
    at_most = enough + CALM_AT_MOST * (enough - began)
    return min(came + calm, max(at_most, situation.estimated_at + APART * price))
