"""Which backups to launch: parity chunks, or blocks once more."""

from __future__ import annotations

import math
from collections.abc import Collection

from dask_bacc.coding import recovered_blocks
from dask_bacc.policy.backups import Backups, choose_backups, coming_without, parity_for
from dask_bacc.policy.copies import copies
from dask_bacc.policy.lateness import late_chunks
from dask_bacc.policy.situation import Rules, Situation
from dask_bacc.policy.steps import Estimate, LaunchBackups, LaunchCopies
from dask_bacc.policy.stop import is_complete
from dask_bacc.records.state import RunState

#: Times the error that is good enough, above which nobody believes in parity any more that is
#: foreseen to leave it: what was fitted to few results may be as wrong as that.
USELESS = 30.0


def what_to_launch(
    rules: Rules, situation: Situation, now: float
) -> tuple[Estimate | LaunchBackups | LaunchCopies | None, float]:
    """What is to be launched now, or known before that, and when there may be something else.

    Parameters
    ----------
    rules : Rules
    situation : Situation
    now : float
        Seconds since the run was submitted.

    Returns
    -------
    step or None, float
        None for nothing now; the time is infinite if there is nothing to wait for.
    """
    state = situation.state
    # Who has ended since may not have said so yet.
    known = now - state.news
    late, again = late_chunks(state.records, known, rules.patience, rules.slow, state.leaving)
    due: list[int] = []
    if rules.copies and now < situation.copies_again:
        again = min(again, situation.copies_again - state.news)
    elif rules.copies:
        due, later = copies(
            rules.code, state.records, known, rules.patience, rules.slow, state.leaving
        )
        again = min(again, later)
    again += state.news
    if not late and not due and _all_well(rules, state):
        return None, again
    if (late or due) and _ask_first(rules, situation, now):
        return Estimate(), again
    if _foresees(rules, situation):
        chosen = choose_backups(
            rules.code,
            state.records,
            late=late,
            due=due,
            enough=rules.enough,
            suffices=lambda chunks: _suffices(rules, situation, chunks),
        )
    else:
        # As long as nobody knows what parity is worth, it comes first.
        parity = tuple(parity_for(rules.code, state.records, late, rules.enough))
        chosen = Backups(parity, () if _parity_to_come(rules, state) else tuple(due))
    if rules.parity and chosen.parity:
        return LaunchBackups(chosen.parity, tuple(sorted(late))), again
    if chosen.copies:
        return LaunchCopies(chosen.copies, _useless(rules, situation, due)), again
    return None, again


def _all_well(rules: Rules, state: RunState) -> bool:
    """Whether every block is in or on its way; nobody need foresee anything then."""
    coming = coming_without(state.records, ())
    return state.outstanding > 0 and is_complete(rules.code, coming)


def _ask_first(rules: Rules, situation: Situation, now: float) -> bool:
    """Whether what has come since the last estimate may tell what parity is worth."""
    if not rules.estimates or rules.exact or now < situation.foresee_again:
        return False
    return len(situation.state.returned) > situation.foreseen_from


def _foresees(rules: Rules, situation: Situation) -> bool:
    """Whether it is known what parity is worth."""
    if rules.exact or not rules.estimates:
        return True
    foresight = situation.foresight
    return foresight is not None and math.isfinite(foresight(situation.state.open_chunks()))


def _suffices(rules: Rules, situation: Situation, chunks: Collection[int]) -> bool:
    """Whether results of these chunks are likely to give a good enough answer."""
    if is_complete(rules.code, chunks):
        return True
    if rules.exact or len(chunks) < rules.enough:
        return False
    if not rules.estimates:
        return bool(recovered_blocks(rules.code, chunks, rules.decoder).all())
    assert situation.foresight is not None
    return situation.foresight(chunks) <= rules.rtol


def _useless(rules: Rules, situation: Situation, due: Collection[int]) -> tuple[int, ...]:
    """Chunks mixed of several blocks with which the answer will not be good enough without these.

    Whoever gives a deadline takes what there is by then, and blocks that are lost need them.
    """
    state, own = situation.state, rules.code.own_blocks
    if situation.foresight is None or rules.deadline < math.inf:
        return ()
    going_on = state.open_chunks()
    mixed = [chunk for chunk in going_on if own[chunk] < 0]
    if not is_complete(rules.code, (*state.returned, *going_on)):
        return ()
    likely = situation.foresight([chunk for chunk in going_on if chunk not in due])
    return tuple(mixed) if USELESS * rules.rtol < likely < math.inf else ()


def _parity_to_come(rules: Rules, state: RunState) -> bool:
    """Whether a chunk that is mixed of several blocks may still come."""
    own = rules.code.own_blocks
    return any(
        own[chunk] < 0 and (record.is_open or (rules.parity and record.state == "spare"))
        for chunk, record in enumerate(state.records)
    )
