"""Which blocks are run once more, and when."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dask_bacc import ChunkRecord, coding
from dask_bacc.policy.copies import copies
from dask_bacc.policy.lateness import Patience
from dask_bacc.records.state import RunState

EVENTS = ("start", "done", "copy", "result", "error", "lose", "give_up")
PATIENCE = Patience(quantile=0.5, multiple=1.5, minimum=0.1, gate=1.0, work=2.0)
CODE = coding.Uncoded(4, 4)


def run(started=(0, 1, 2, 3), returned=(), copied=(), at=1.0):
    """Chunks that started at once; some have returned and some were copied at some time."""
    times = [0.0]
    state = RunState(4, 4, "first copy", clock=lambda: times[0])
    for chunk in started:
        state.start(chunk, f"worker {chunk}")
    times[0] = at
    for chunk in returned:
        state.take_result(chunk)
    for chunk in copied:
        (number,) = state.copy([chunk]).values()
        state.start(chunk, "another", attempt=number)
    return state.records


@pytest.mark.parametrize(
    ("how", "now", "found"),
    [
        # Too few have returned to know what is usual.
        ({"returned": [0]}, 9.0, ([], math.inf)),
        # As long as the median, from their start on.
        ({"returned": [0, 1], "at": 2.0}, 1.5, ([], 2.0)),
        ({"returned": [0, 1], "at": 2.0}, 2.0, ([2, 3], math.inf)),
        # One that nobody has started comes before all that run.
        ({"started": [0, 1, 2], "returned": [0, 1]}, 1.05, ([], 1.1)),
        ({"started": [0, 1, 2], "returned": [0, 1]}, 9.0, ([3], math.inf)),
        # Then the copy has that time, too, and blocks with fewer attempts come first.
        ({"returned": [0, 1], "copied": [2]}, 1.5, ([3], 2.0)),
        ({"returned": [0, 1], "copied": [2]}, 2.5, ([3, 2], math.inf)),
    ],
)
def test_when_blocks_are_copied(how, now, found):
    assert copies(CODE, run(**how), now, PATIENCE) == found


def test_the_budget_of_work_is_kept():
    records = run(returned=[0, 1], copied=[2, 2, 3])
    assert copies(CODE, records, 9.0, PATIENCE) == ([3], math.inf)
    assert copies(CODE, records, 9.0, Patience(0.5, 1.5, 0.1, work=1.75)) == ([], math.inf)


def test_a_gate_of_zero_waits_for_nothing():
    at_once = Patience(0.5, 1.5, 0.1, gate=0.0)
    assert copies(CODE, run(), 0.0, at_once) == ([0, 1, 2, 3], math.inf)


def test_neither_parity_nor_blocks_that_are_in_are_copied():
    code = coding.Repetition(2, 4)
    records = [ChunkRecord("returned", "a", 0.0, 1.0), *3 * [ChunkRecord("running", "b", 0.0)]]
    own = code.own_blocks
    chosen, _ = copies(code, records, 9.0, replace(PATIENCE, quantile=0.25, work=3.0))
    assert chosen
    assert own[0] not in own[chosen]
    mixed = coding.Local(2, 3)
    records = [ChunkRecord("returned", "a", 0.0, 1.0), *2 * [ChunkRecord("running", "b", 0.0)]]
    assert copies(mixed, records, 9.0, replace(PATIENCE, quantile=0.25)) == ([1], math.inf)


@given(st.data())
def test_whatever_attempts_do_counts_and_records_agree(data):
    """Attempts start, end, fail and are given up in any order that a cluster may report."""
    state = RunState(2, 3, "kriging")
    launched = {(chunk, 0) for chunk in range(3)}
    for _ in range(data.draw(st.integers(0, 12))):
        chunk = data.draw(st.integers(0, 2))
        record = state.records[chunk]
        number = data.draw(st.sampled_from(sorted(a for c, a in launched if c == chunk)))
        worker = data.draw(st.sampled_from("ab"))
        going_on = number in record.going_on
        match data.draw(
            st.sampled_from(["start", "done", "copy", "result", "error", "lose", "give_up"])
        ):
            case "start":
                state.start(chunk, worker, attempt=number)
            case "done":
                state.done(chunk, worker, attempt=number)
            case "copy" if record.is_open:
                launched |= set(state.copy([chunk]).items())
            case "result" if going_on:
                state.take_result(chunk, number)
            case "error" if going_on:
                state.take_error(chunk, ValueError(), number)
            case "lose" if going_on:
                state.lose(chunk, number)
            case "give_up" if record.is_open:
                state.give_up([chunk])
        assert state.outstanding == sum(record.is_open for record in state.records)
        for index, record in enumerate(state.records):
            assert {record.attempt, *(o.number for o in record.others)} == {
                a for c, a in launched if c == index
            }
            # Somebody is waited for as long as the chunk may return, and nobody after that.
            assert bool(record.going_on) == record.is_open
            assert record.is_open or all(o.ended is not None for o in record.others)
        assert sorted(state.returned) == [
            i for i, record in enumerate(state.records) if record.state == "returned"
        ]
