"""Which workers are slow."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dask_bacc.policy.slow import Pace, paces_of, slow_workers, to_avoid
from dask_bacc.records.state import RunState


def run(durations, overtaken=(), at=2.0):
    """Records of chunks that worker i was at for so long; some were overtaken by copies."""
    times = [0.0]
    state = RunState(len(durations), len(durations), "first copy", clock=lambda: times[0])
    for chunk in range(len(durations)):
        state.start(chunk, f"w{chunk}")
    for chunk in np.argsort(durations).tolist():
        times[0] = durations[chunk]
        if chunk in overtaken:
            times[0] = at
            (number,) = state.copy([chunk]).values()
            state.start(chunk, "another", ago=1.0, attempt=number)
            state.take_result(chunk, number)
        else:
            state.take_result(chunk)
    return state.records


def paces(*runs):
    return [pace for records in runs for pace in paces_of(records, 99.0, 0.1).values()]


EVEN = [1.0, 1.01, 0.99, 1.02, 1.0, 1.03, 0.98]


@pytest.mark.parametrize(
    ("runs", "slow"),
    [
        ([run([*EVEN, 1.1])], set()),
        # Ten times as long as the others is enough,
        ([run([*EVEN, 10.0])], {"w7"}),
        # and so is twice, but not at once;
        ([run([*EVEN, 2.2])], set()),
        ([run([*EVEN, 2.2]), run([*EVEN, 2.2])], {"w7"}),
        # nobody knows whether it is the block, unless another worker was faster with it.
        ([run([*EVEN, 9.0], overtaken=[7], at=2.3), run([2.3, *EVEN[:6], 1.0])], set()),
        # What was overtaken had taken that long at least.
        (2 * [run([*EVEN, 9.0], overtaken=[7], at=2.3)], {"w7"}),
        # A worker that is as fast as the others is not slow any more.
        ([run([*EVEN, 10.0]), run([*EVEN, 1.0])], set()),
        ([run([*EVEN, 10.0]), run([*EVEN, 1.0]), run([*EVEN, 10.0])], {"w7"}),
        # Where durations differ much, twice or four times as long is nothing.
        (3 * [run([1.0, 0.5, 2.5, 0.7, 3.0, 1.0, 2.0, 4.5])], set()),
        # Too few to know what is usual, and too short to matter.
        ([run([1.0, 1.0, 10.0])], set()),
        ([run([0.001, 0.001, 0.001, 0.001, 0.09])], set()),
    ],
)
def test_who_is_slow(runs, slow):
    assert set(slow_workers(paces(*runs))) == slow


def test_a_block_that_takes_long_everywhere_speaks_against_nobody():
    known = [Pace(worker, 3, 0.0, 10.0, True, 1.0, 0.2) for worker in "ab"]
    assert slow_workers(known[:1]) == {"a": 10.0}
    assert slow_workers(known) == {}


def test_chance_makes_hardly_anybody_slow():
    """Independent Pareto times: no worker is slower than any other."""
    rng = np.random.default_rng(0)
    rounds = [paces(run(0.5 * (1 + rng.pareto(1.5, 12)))) for _ in range(400)]
    assert np.mean([len(slow_workers(known)) / 12 for known in rounds]) < 0.01


@pytest.mark.parametrize(
    ("slow", "workers", "chunks", "kept_off"),
    [
        # Seven workers take two turns for eight blocks, and three times as long is longer.
        ({"a": 3.0}, 8, 8, {"a"}),
        ({"a": 1.8}, 8, 8, set()),
        # With ten turns it is of use.
        ({"a": 3.0}, 8, 80, set()),
        ({"a": 30.0}, 8, 80, {"a"}),
        # If half of them are slow, it is not they; the worst are kept off.
        ({"a": 5.0, "b": 9.0, "c": 6.0, "d": 5.0}, 8, 8, {"b", "c"}),
        # Somebody has to do it.
        ({"a": 9.0}, 1, 8, set()),
        ({"left": 9.0}, 4, 4, set()),
    ],
)
def test_whom_to_keep_off(slow, workers, chunks, kept_off):
    threads = dict.fromkeys("abcdefgh"[:workers], 1)
    assert set(to_avoid(slow, threads, chunks)) == kept_off


@given(
    st.dictionaries(st.sampled_from("abcdefgh"), st.floats(2, 1e3)),
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 8), min_size=1),
    st.integers(1, 100),
)
def test_most_workers_are_left(slow, threads, chunks):
    kept_off = set(to_avoid(slow, threads, chunks))
    assert kept_off <= slow.keys() & threads.keys()
    assert len(kept_off) <= max(len(threads) // 4, 1)
    assert kept_off < threads.keys()
