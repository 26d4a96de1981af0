"""The cost model of making parity."""

from __future__ import annotations

import dask
import dask.array as da
import pytest

import dask_bacc
from dask_bacc import coding
from dask_bacc.graphs.cost import Work, choose_slices, cost


def way(work, most=1000, memory=2**28, bandwidth=1e8):
    return choose_slices(work, most=most, memory=memory, bandwidth=bandwidth)


def test_small_blocks_are_sent_to_every_chunk_and_large_ones_once():
    ways = [way(Work(16, [16] * 4, 10**power)) for power in range(2, 9)]
    assert ways[0] == 0
    assert ways[-1] > 1
    assert ways == sorted(ways)


def test_disjoint_chunks_and_single_ones_are_made_directly_whatever_their_size():
    assert way(Work(16, [4] * 4, 50_000_000)) == 0
    assert way(Work(8, [8], 10_000_000)) == 0


def test_many_groups_at_once_are_gathered_before_they_are_split():
    """Other groups keep the other workers busy, so what counts is bytes and tasks."""
    assert way(Work(16, [16] * 4, 1_000_000, groups=100)) == 1


def test_a_slow_network_makes_moving_less_worth_more_tasks():
    work = Work(16, [16] * 4, 1_000_000)
    assert way(work, bandwidth=1e10) == 0
    assert way(work, bandwidth=1e6) > 1


@pytest.mark.parametrize("nbytes", [10**3, 10**6, 10**9])
def test_memory_is_kept_to_where_it_can_be(nbytes):
    work = Work(32, [32] * 8, nbytes)
    slices = way(work, memory=10**8)
    assert cost(work, slices).peak <= 10**8
    # With no way to keep to it, the least is used.
    assert way(work, memory=1, most=10) == 10


def test_model_counts_tasks_and_bytes_as_a_graph_has_them():
    """Against the graph itself: every reference that crosses from one task to another."""
    code = coding.Berrut(16, 20, systematic=True)
    for slices in (0, 1, 3):
        work = Work(16, [16] * 4, 7 * 5 * 3 * 8)
        graph = parity_graph(slices, code)
        assert cost(work, slices).tasks == len(graph)


def parity_graph(slices, code):
    with dask.config.set({"bacc.encode.slices": slices}):
        coded = dask_bacc.encode(da.zeros((48, 7, 5), chunks=(3, -1, -1)), n=code.n, code=code)
    graph = coded.__dask_graph__()
    names = {key[0] for key in graph if key[0].startswith(("rechunk-split", "gathered"))}
    return {
        key: task
        for key, task in graph.items()
        if key[0] in names or (key[0] == coded.parts[0].name and code.own_blocks[key[1]] < 0)
    }
