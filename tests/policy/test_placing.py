"""Which worker runs which chunk."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from dask_bacc.policy.placing import placed, placed_beside

WORKERS = "abcdef"
homes = st.lists(st.sets(st.sampled_from(WORKERS + "xy"), min_size=1), min_size=1, max_size=15)
threads = st.dictionaries(st.sampled_from(WORKERS), st.integers(1, 3), min_size=1)


@given(homes, threads)
def test_no_worker_has_two_turns_while_one_would_do(holders, threads):
    found = placed(dict(enumerate(holders)), threads)
    assert found.keys() == set(range(len(holders)))
    turns = -(-len(holders) // sum(threads.values()))
    assert all(count <= turns * threads[w] for w, count in Counter(found.values()).items())


@given(homes, homes, threads)
def test_others_have_threads_that_blocks_do_not_need(holders, of_others, threads):
    blocks = placed(dict(enumerate(holders)), threads)
    others = placed_beside(blocks, dict(enumerate(of_others, len(holders))), threads)
    taken = Counter(blocks.values())
    free = sum(max(count - taken[w], 0) for w, count in threads.items())
    assert len(others) == min(free, len(of_others))
    both = taken + Counter(others.values())
    assert all(both[w] <= threads[w] for w in others.values())


@given(st.permutations(WORKERS), st.sets(st.sampled_from(range(6)), max_size=3))
def test_as_little_is_moved_as_can_be(order, copied):
    """Where every worker has one chunk's data, and some that of the next as well."""
    holders = {i: {w, order[(i + 1) % 6]} if i in copied else {w} for i, w in enumerate(order)}
    threads = dict.fromkeys(WORKERS, 1)
    costs = np.array([[w not in holders[i] for w in WORKERS] for i in range(6)])
    least = costs[linear_sum_assignment(costs)].sum()
    assert sum(w not in holders[i] for i, w in placed(holders, threads).items()) == least
