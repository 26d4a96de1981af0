"""Where chunks run whose data lies on workers, some of which are kept off."""

from __future__ import annotations

import pytest

from dask_bacc import coding
from dask_bacc.runtime.placing import places

CODE = coding.get_code("systematic", 2, 3)


class Lying:
    """Data of two arrays for each chunk, on workers of its own choice."""

    def __init__(self, client, *where):
        self.futures = [
            [client.scatter(f"{chunk} {worker}", workers=[worker], hash=False) for worker in pair]
            for chunk, pair in enumerate(where)
        ]

    def data_of(self, chunk):
        return {future.key for future in self.futures[chunk]}


@pytest.fixture
def workers(client):
    return sorted(client.scheduler_info()["workers"])


def test_every_chunk_has_a_worker_of_its_own(client, workers):
    """No worker has all of any chunk, and parity's data lies where the blocks' does."""
    a, b, c, kept_off = workers
    graph = Lying(client, (a, b), (b, kept_off), (a, b))
    found = places(client, graph, CODE, range(3), dict.fromkeys((a, b, c), 1))
    assert found.keys() == {0, 1, 2}
    assert sorted(found.values()) == [a, b, c]
    assert {found[0], found[1]} == {a, b}


def test_parity_has_only_what_blocks_leave(client, workers):
    a, b, *_ = workers
    graph = Lying(client, (a, a), (b, b), (a, a))
    assert places(client, graph, CODE, range(3), dict.fromkeys((a, b), 1)) == {0: a, 1: b}


def test_nothing_has_a_place_where_a_block_is_not_there_yet(client, workers):
    a, b, *_ = workers
    graph = Lying(client, (a, a), (b, b), (a, a))
    client.cancel(graph.futures[1][0], force=True)
    assert places(client, graph, CODE, range(3), dict.fromkeys((a, b), 1)) == {}
