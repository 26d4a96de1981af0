"""The schedule as a table: how a run stands, and what it does next."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dask_bacc import coding
from dask_bacc.policy.lateness import Patience
from dask_bacc.policy.schedule import next_step
from dask_bacc.policy.situation import Rules, Situation
from dask_bacc.policy.steps import Estimate, Finish, LaunchBackups, LaunchCopies, Probe, Wait
from dask_bacc.policy.timing import Timing
from dask_bacc.records.events import Stop
from dask_bacc.records.state import RunState

CODE = coding.Berrut(4, 8, systematic=True)
RULES = Rules(
    CODE,
    coding.Kriging(),
    enough=4,
    estimates=True,
    rtol=0.1,
    deadline=100.0,
    patience=Patience(quantile=0.5, multiple=2.0, minimum=0.5),
    parity=False,
    copies=False,
    exact=False,
    timing=Timing(probe_every=2.0),
)


#: Chunks that only workers that do not respond could bring.
BEYOND = {"out_of_reach": frozenset({0, 2, 3, 7})}
SIX = {"enough": 6}
#: Any error will do, or the decoder says nothing of it.
ANY = {"estimates": False}
NO_ERROR = {"decoder": coding.LeastSquares(), **ANY}


def situation(returned=(), erred=(), spare=(), at=1.0, news=0.0, **known):
    """All chunks started at once, and some have ended at some time."""
    times = [0.0]
    state = RunState(4, 8, "kriging", clock=lambda: times[0])
    state.spare(spare)
    for chunk in set(range(8)).difference(spare):
        state.start(chunk, f"worker {chunk}")
    times[0] = at
    for chunk in returned:
        state.take_result(chunk)
    for chunk in erred:
        state.take_error(chunk, ValueError())
    state.news = news
    found = Situation(state)
    if returned or erred:
        found.arrived(at, RULES.enough)
    return replace(found, **known)


@pytest.mark.parametrize(
    ("how", "rules", "now", "step"),
    [
        # Nothing has come: wait until it is time to see who responds.
        ({}, {}, 0.5, Wait(2.0)),
        ({}, {}, 2.5, Probe()),
        ({"probed": 2.5}, {}, 2.5, Wait(4.5)),
        ({}, {"deadline": 1.5}, 0.5, Wait(1.5)),
        ({}, {"deadline": 1.5}, 1.5, Finish(Stop.DEADLINE)),
        # Every block's own result makes an estimate needless.
        ({"returned": range(4)}, {}, 1.0, Finish(Stop.COMPLETE)),
        # Others are estimated once nothing has come for a moment,
        ({"returned": range(4, 8)}, {}, 1.0, Wait(1.01)),
        ({"returned": range(4, 8)}, {}, 1.02, Estimate()),
        # soon after they were enough, however fast they come,
        ({"returned": range(4, 8), "came": 9.0}, {}, 9.01, Estimate()),
        # at once if results come one by one,
        ({"returned": range(4, 8), "gap": 0.02}, {}, 1.0, Estimate()),
        ({"returned": range(4, 8), "gap": 0.005}, {}, 1.0, Wait(1.01)),
        # unless the others are likely to be here before an estimate is,
        ({"returned": range(4, 8), "price": 30.0}, {}, 1.02, Wait(1 + 0.25 * 30)),
        ({"returned": range(4, 8), "price": 30.0}, {}, 8.6, Estimate()),
        # or the last one was just now,
        (
            {"returned": range(4, 8), "came": 9.0, "price": 3.0, "estimated_at": 8.0},
            {},
            9.01,
            Wait(pytest.approx(9.09)),
        ),
        # with one at a time, beside which results are taken in;
        ({"returned": range(4, 8), "came": 9.0, "busy": True}, {}, 9.01, Wait(100.0)),
        ({"returned": range(4, 8), "erred": range(4), "busy": True}, {}, 1.0, Wait(100.0)),
        ({"returned": range(4), "busy": True}, {}, 1.0, Finish(Stop.COMPLETE)),
        ({"busy": True}, {"deadline": 1.5}, 1.5, Finish(Stop.DEADLINE)),
        # or at once, if nothing can come any more.
        ({"returned": range(4, 8), "erred": range(4)}, {}, 1.0, Estimate()),
        # What was not good enough is not asked for again before there is more,
        ({"returned": range(4, 8), "fresh": False}, {}, 1.5, Wait(3.0)),
        (
            {"returned": range(4, 8), "erred": range(4), "fresh": False},
            {},
            1.5,
            Finish(Stop.ENDED),
        ),
        # or there is time for a closer look.
        ({"returned": range(4, 8), "fresh": False, "estimate_again": 2.0}, {}, 1.5, Wait(2.0)),
        ({"returned": range(4, 8), "fresh": False, "estimate_again": 2.0}, {}, 2.0, Estimate()),
        # With no estimates asked for, their number decides.
        ({"returned": range(4, 8)}, {"estimates": False}, 1.0, Finish(Stop.ENOUGH)),
        ({"returned": range(4, 7)}, {"estimates": False}, 1.0, Wait(3.0)),
        ({"returned": range(4, 8)}, {"estimates": False, "enough": 5}, 1.0, Wait(3.0)),
        ({"erred": range(8)}, {}, 1.0, Finish(Stop.ENDED)),
        # Fewer will do if no other can come, should their estimate say so,
        ({"returned": [1, *range(4, 7)], **BEYOND}, SIX, 1.02, Estimate()),
        ({"returned": [1, *range(4, 7)], **BEYOND, "fresh": False}, SIX, 1.5, Wait(3.0)),
        ({"returned": [1, *range(4, 7)], **BEYOND}, SIX | ANY, 1.0, Finish(Stop.ENOUGH)),
        # but not where nothing says how good they are, or there is more to come or to launch.
        ({"returned": [1, *range(4, 7)], **BEYOND}, SIX | NO_ERROR, 1.0, Wait(3.0)),
        ({"returned": range(4, 7), **BEYOND}, SIX, 1.02, Wait(3.0)),
        ({"returned": range(4, 7), "spare": [1], **BEYOND}, SIX, 1.02, Wait(3.0)),
        (BEYOND, {}, 1.02, Wait(2.0)),
    ],
)
def test_what_comes_next(how, rules, now, step):
    assert next_step(replace(RULES, **rules), situation(**how), now) == step


def test_results_that_come_together_leave_no_gap():
    state = RunState(4, 8, "kriging", clock=lambda: 0.0)
    found, gaps = Situation(state), []
    for at, chunks in [(1.0, [4]), (3.0, [5]), (4.0, [6, 7]), (4.5, []), (5.0, [0])]:
        for chunk in chunks:
            state.take_result(chunk)
        found.arrived(at, 4)
        gaps.append(found.gap)
    assert gaps == [1.0, 2.0, 0.0, 0.5, 0.5]


BACKUP = replace(RULES, parity=True)
#: As long as it is not known what parity is worth.
UNKNOWN = {"foreseen_from": 8}
SPARE = {"spare": range(4, 8)}
EXACT = {"parity": True, "exact": True}


@pytest.mark.parametrize(
    ("how", "now", "step"),
    [
        # Twice what half of the blocks took, after which the others are late.
        ({"returned": [0, 1]}, 1.5, Wait(2.0)),
        ({"returned": [0, 1]}, 2.0, "one for each"),
        # What workers said last had waited there: who has ended may not have said so.
        ({"returned": [0, 1], "news": 0.2}, 2.1, Wait(2.2)),
        ({"returned": [0, 1], "news": 0.2}, 2.2, "one for each"),
        # Looking takes time, so it is not done all the time.
        ({"returned": [0, 1], "rest_until": 2.5}, 2.0, Wait(2.5)),
        # A client that is closed launches nothing.
        ({"returned": [0, 1], "may_launch": False}, 2.0, Wait(3.0)),
        # All that was launched has ended: the spares are what is left.
        ({"returned": [0, 1], "erred": [2, 3]}, 1.0, "one for each"),
    ],
)
def test_when_backups_are_launched(how, now, step):
    found = next_step(BACKUP, situation(**SPARE, **UNKNOWN, **how), now)
    if step == "one for each":
        assert isinstance(found, LaunchBackups)
        assert len(found.chunks) == 2
        assert set(found.chunks) <= set(range(4, 8))
        assert set(found.late) <= {2, 3}
    else:
        assert found == step


@pytest.mark.parametrize(
    ("how", "rules", "now", "step"),
    [
        # Only an exact answer will do: blocks that are late are run once more, and none mixed.
        (
            {"returned": [0, 1], **SPARE},
            EXACT,
            1.0,
            LaunchCopies((2, 3)),
        ),
        # A block that is lost for good needs parity all the same.
        (
            {"returned": [0, 1], "erred": [2], **SPARE},
            EXACT,
            0.9,
            LaunchBackups((7,), ()),
        ),
        # Where an estimate may do, copies wait until no parity can come any more,
        ({"returned": [0, 1]}, {}, 2.0, Wait(3.0)),
        ({"returned": [0, 1, *range(4, 8)], "fresh": False}, {}, 2.0, LaunchCopies((2, 3))),
        # and until somebody may be idle.
        (
            {"returned": [0, 1, *range(4, 8)], "fresh": False, "copies_again": 2.5},
            {},
            2.0,
            Wait(2.5),
        ),
        # A function that must not run twice is not.
        (
            {"returned": [0, 1, *range(4, 8)], "fresh": False},
            {"copies": False},
            2.0,
            Wait(3.0),
        ),
    ],
)
def test_when_blocks_are_run_once_more(how, rules, now, step):
    rules = replace(RULES, **{"copies": True, **rules})
    assert next_step(rules, situation(**UNKNOWN, **how), now) == step


def leaves(*errors):
    """What is foreseen of so many chunks that are in, from none on."""
    return lambda more: errors[min(len(more), len(errors) - 1)]


@pytest.mark.parametrize(
    ("how", "rules", "now", "step"),
    [
        # Results that are in may tell what parity is worth: that comes first,
        ({"returned": [0, 1], **SPARE}, {}, 1.0, Estimate()),
        # unless the last estimate is so young that it took much of the time since.
        ({"returned": [0, 1], **SPARE, "foresee_again": 1.5}, {}, 1.0, Wait(2.0)),
        ({"returned": [0, 1], **SPARE, "foreseen_from": 1}, {}, 1.0, Estimate()),
        ({"returned": [0, 1], **SPARE}, {"estimates": False}, 1.0, LaunchCopies((2, 3))),
    ],
)
def test_what_parity_is_worth_is_asked_first(how, rules, now, step):
    rules = replace(RULES, copies=True, parity=True, **rules)
    assert next_step(rules, situation(**how), now) == step


@pytest.mark.parametrize(
    ("how", "foresight", "rules", "now", "step"),
    [
        # What is on its way will do.
        ({"returned": [0, 1, 4, 5]}, leaves(0.0), {}, 1.0, Wait(2.0)),
        # It will not: blocks are run once more,
        ({"returned": [0, 1, 4, 5]}, leaves(0.5), {}, 1.0, LaunchCopies((2, 3))),
        # and what is mixed gives way if it is of no use whatever the error of what is foreseen.
        ({"returned": [0, 1, 4, 5]}, leaves(4.0), {}, 1.0, LaunchCopies((2, 3), (6, 7))),
        # It does not before a deadline, at which any answer is welcome, or if it may be needed.
        (
            {"returned": [0, 1, 4, 5]},
            leaves(4.0),
            {"deadline": 50.0},
            1.0,
            LaunchCopies((2, 3)),
        ),
        ({"returned": [0, 1, 4, 5], "erred": [2]}, leaves(4.0), {}, 1.0, LaunchCopies((3,))),
        # As many of them as are likely to do.
        (
            {"returned": [0, 1], "spare": range(4, 8)},
            leaves(1.0, 0.05),
            {"enough": 3},
            1.0,
            LaunchCopies((2,)),
        ),
        # A parity chunk that does for two blocks is less than two copies.
        (
            {"returned": [0, 1], "spare": range(4, 8)},
            lambda more: 0.0 if any(chunk >= 4 for chunk in more) else 1.0,
            {"enough": 3, "parity": True},
            2.0,
            LaunchBackups((7,), (2, 3)),
        ),
        # And without copies it takes what it takes.
        (
            {"returned": [0, 1], "spare": range(4, 8)},
            lambda more: 0.0 if sum(chunk >= 4 for chunk in more) > 2 else 1.0,
            {"enough": 3, "parity": True, "copies": False},
            2.0,
            LaunchBackups((7, 6, 4), (2, 3)),
        ),
    ],
)
def test_the_fewest_backups_are_launched_that_are_likely_to_do(how, foresight, rules, now, step):
    how = situation(**{**how, **UNKNOWN}, fresh=False, foresight=foresight)
    rules = replace(RULES, **{"copies": True, "deadline": math.inf, **rules})
    assert next_step(rules, how, now) == step


CHUNKS = st.lists(st.integers(0, 7), unique=True)


@given(CHUNKS, CHUNKS, *4 * [st.booleans()], st.floats(0, 200), st.booleans())
def test_the_schedule_changes_nothing_and_always_goes_on(
    returned, erred, backup, copies, exact, estimates, now, fresh
):
    spare = [chunk for chunk in range(4, 8) if backup and chunk not in (*returned, *erred)]
    erred = [chunk for chunk in erred if chunk not in returned]
    how = situation(returned, erred, spare, fresh=fresh)
    rules = replace(RULES, estimates=estimates, parity=backup, copies=copies, exact=exact)
    before = copy.deepcopy((how.state.records, how.state.returned, how.state.outstanding))
    step = next_step(rules, how, now)
    assert before == (how.state.records, how.state.returned, how.state.outstanding)
    match step:
        case Wait(until):
            # What is waited for is ahead, and finite: a run can only hang where it asks who does.
            assert now < until < math.inf
            assert how.state.outstanding or estimates
        case Finish(reason):
            own = set(returned) >= set(range(4))
            assert (reason is Stop.COMPLETE) == own
            assert reason is not Stop.ENDED or not how.state.outstanding
            assert reason is not Stop.DEADLINE or now >= rules.deadline
        case LaunchBackups(chunks):
            assert chunks
            assert set(chunks) <= set(spare)
        case LaunchCopies(chunks):
            assert chunks
            assert all(how.state.is_open(chunk) and chunk < 4 for chunk in chunks)
            assert copies
        case Estimate():
            assert returned
            assert estimates
