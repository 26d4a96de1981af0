from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dask_bacc import coding
from dask_bacc.policy.lateness import Patience
from dask_bacc.policy.simulator import simulate
from tests.strategies import SYSTEMATIC

PATIENCE = Patience(quantile=0.5, multiple=1.5, minimum=0.0)
TIMES = st.lists(st.floats(0.01, 100), min_size=12, max_size=12)


@given(TIMES)
def test_with_a_worker_for_each_chunk_the_answer_is_an_order_statistic(times):
    code = SYSTEMATIC(8, 12)
    run = simulate(code, coding.Kriging(), lambda i, *_: times[i], workers=12, enough=8)
    assert run.seconds == min(sorted(times)[7], max(times[:8]))


@given(TIMES)
def test_uncoded_waits_for_the_slowest(times):
    run = simulate(
        coding.Uncoded(12, 12), coding.FirstCopy(), lambda i, *_: times[i], workers=12, enough=12
    )
    assert run.seconds == max(times)
    assert run.worker_seconds == pytest.approx(sum(times))
    assert run.wasted == 0


@given(TIMES)
def test_backups_never_come_later_than_the_slowest_block(times):
    code = SYSTEMATIC(8, 12)
    run = simulate(
        code, coding.Kriging(), lambda i, *_: times[i], workers=12, enough=8, patience=PATIENCE
    )
    assert run.seconds <= max(times[:8])
    launched = [i for i in range(8, 12) if run.records[i].state != "spare"]
    limit = 1.5 * sorted(times[:8])[3]
    # Nobody is late who is within the limit.
    assert len(launched) == 0 or max(times[:8]) >= limit


def test_a_hung_worker_is_bridged_by_backups_and_not_by_copies_it_holds():
    code = SYSTEMATIC(8, 12)

    def hangs(chunk, worker, attempt):
        return math.inf if worker == 3 else 1.0

    run = simulate(code, coding.Kriging(), hangs, workers=12, enough=8, patience=PATIENCE)
    assert run.seconds == pytest.approx(2.5)
    plain = simulate(coding.Uncoded(8, 8), coding.FirstCopy(), hangs, workers=8, enough=8)
    assert math.isinf(plain.seconds)


def test_what_a_hung_worker_never_starts_is_late_once_nothing_has_moved_for_long():
    run = simulate(
        SYSTEMATIC(8, 12),
        coding.Kriging(),
        lambda chunk, *_: 1.0 if chunk >= 8 else 1.0 + chunk / 10,
        workers=12,
        enough=8,
        patience=PATIENCE,
        hung=[3],
    )
    # Seven blocks end until 1.7, the median of eight being 1.4, and a parity chunk takes 1.
    assert run.seconds == pytest.approx(1.7 + 1.5 * 1.4 + 1.0)
    assert run.records[3].state == "waiting"
    assert run.records[3].started is None


def test_what_hung_workers_were_given_is_launched_anew_on_others():
    # The chunks of workers 1 and 2 are known to be stuck at 6, and 5 and 0 have long been idle.
    run = simulate(
        coding.Uncoded(4, 4),
        coding.FirstCopy(),
        lambda chunk, *_: 1.0 + chunk,
        workers=6,
        enough=4,
        hung=[1, 2, 4],
    )
    assert run.seconds == 6.0 + 3.0
    assert {run.records[1].worker, run.records[2].worker} == {"5", "0"}
    nobody = simulate(
        coding.Uncoded(2, 2), coding.FirstCopy(), lambda *_: 1.0, workers=2, enough=2, hung=[0, 1]
    )
    assert math.isinf(nobody.seconds)


def test_a_run_waits_until_the_estimate_is_small_enough():
    run = simulate(
        SYSTEMATIC(8, 12),
        coding.Kriging(),
        lambda chunk, *_: 12.0 - chunk,
        workers=12,
        enough=5,
        error=lambda returned: 0.0 if 5 in returned else 1.0,
    )
    # Chunks 11 to 7 make enough, and 5 comes after 6.
    assert run.seconds == 7.0


def late_once(late, workers):
    """A run of 64 blocks of a second each but one, and 8 parity chunks."""
    return simulate(
        SYSTEMATIC(64, 72),
        coding.Kriging(),
        lambda chunk, *_: late if chunk == 40 else 1.0,
        workers=workers,
        enough=64,
    )


def test_parity_of_a_long_run_is_launched_once_a_block_is_late():
    assert late_once(1.0, workers=2).worker_seconds == 64
    assert late_once(1.0, workers=3).worker_seconds > 64
    # The late block has one worker for itself, and the other takes those that are left.
    run = late_once(1000.0, workers=2)
    assert run.seconds < 70
    assert sum(record.state == "returned" for record in run.records[64:]) == 1


def test_few_workers_take_turns():
    times = np.ones(6)
    code = coding.Uncoded(6, 6)
    run = simulate(code, coding.FirstCopy(), lambda i, *_: times[i], workers=2, enough=6)
    assert run.seconds == 3


COPIES = Patience(quantile=0.5, multiple=1.5, minimum=0.0, gate=1.0, work=2.0)
TWICE = st.lists(st.tuples(st.floats(0.01, 100), st.floats(0.01, 100)), min_size=6, max_size=6)


def with_copies(times, workers, copies=COPIES):
    return simulate(
        coding.Uncoded(6, 6),
        coding.FirstCopy(),
        lambda i, _, attempt: (*times[i], *4 * [math.inf])[min(attempt, 2)],
        workers=workers,
        enough=6,
        copies=copies,
    )


@given(TWICE, st.integers(6, 12))
def test_blocks_that_are_run_once_more_end_with_the_first_attempt(times, workers):
    run = with_copies(times, workers)
    first = [own for own, _ in times]
    median = sorted(first)[2]
    # With a worker for each copy they all start when their blocks have had the median twice over.
    ends = [min(own, median + copy) if own > median else own for own, copy in times]
    assert run.seconds <= max(first)
    assert run.seconds >= max(ends) - 1e-9
    if workers == 12:
        assert run.seconds == pytest.approx(max(ends))
    assert sum(1 + len(record.others) for record in run.records) <= 12


def test_a_budget_of_no_copies_is_a_run_without():
    times = [(1.0, 1.0)] * 5 + [(50.0, 1.0)]
    assert with_copies(times, 12, Patience(0.5, 1.5, 0.0, work=1.0)).seconds == 50.0
    run = with_copies(times, 12)
    assert run.seconds == 2.0
    # The one that was overtaken is stopped, and counts as wasted.
    assert run.wasted == 2.0
    assert run.worker_seconds == 5 + 2 + 1
