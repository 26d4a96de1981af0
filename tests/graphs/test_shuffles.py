"""Peer-to-peer shuffles: encode makes none, and those that are there are never made anew."""

from __future__ import annotations

import dask
import dask.array as da
import numpy as np
import pytest

import dask_bacc
from dask_bacc.graphs.call import Call, Chunks, run_graph
from dask_bacc.graphs.shuffles import shuffle_keys

X = np.random.default_rng(0).normal(size=(48, 12))


def by_columns():
    """Chunks along the other axis; with a client, dask rechunks such arrays peer to peer."""
    return da.from_array(X, chunks=(48, 2)).map_blocks(np.positive)


def graph_of(array, n=12):
    coded = dask_bacc.encode(array, k=8, n=n)
    keys = [[(coded.parts[0].name, i)] for i in range(n)]
    chunks = Chunks(coded.__dask_graph__(), keys, [(6, 12)])
    return run_graph(
        chunks, Call(np.tanh, (), {}), topic="", sketched={}, limit=1e6, accepts=["finite"] * 12
    )


def p2p():
    with dask.config.set({"array.rechunk.method": "p2p"}):
        return by_columns().rechunk((6, 12))


@pytest.mark.parametrize("method", [None, "p2p"])
def test_encode_rechunks_by_tasks(client, method):
    with dask.config.set({"array.rechunk.method": method}):
        assert method is None or shuffle_keys(dict(by_columns().rechunk((6, 12)).dask))
        coded = dask_bacc.encode(by_columns(), k=8, n=12)
        assert dask.config.get("array.rechunk.method") == method
    assert not shuffle_keys(coded.__dask_graph__())
    np.testing.assert_array_equal(coded.map(np.tanh, enough=12).result(timeout=60), np.tanh(X))


def test_an_array_that_was_rechunked_peer_to_peer_can_be_encoded(client):
    coded = dask_bacc.encode(p2p(), k=8, n=12)
    assert shuffle_keys(coded.__dask_graph__())
    np.testing.assert_array_equal(coded.map(np.tanh, enough=12).result(timeout=60), np.tanh(X))


def beyond():
    """Blocks that come after a shuffle, and that dask does not fuse with its tasks."""
    return da.map_blocks(np.add, p2p(), by_columns().rechunk((6, 12), method="tasks"))


@pytest.mark.parametrize("anew", [True, False])
def test_a_shuffle_and_what_it_is_made_of_keep_their_keys(anew):
    run = graph_of(beyond())
    again = run.again({1: 0, 9: 0}, "-again", anew=anew).graph
    shuffled = shuffle_keys(run.graph)
    assert {"rechunk-transfer", "rechunk-p2p"} <= {str(key[0])[:-33] for key in shuffled}
    made_anew = again.keys() - run.graph.keys()
    assert {key for key in again if str(key[0]).startswith("bacc-")} <= made_anew
    # Nothing is asked for that is neither made nor there.
    needed = {key for node in again.values() for key in node.dependencies}
    assert needed <= again.keys() | run.graph.keys()
    if anew:
        # Blocks that come after the shuffle are made anew of what it gave.
        assert any(str(key[0]).startswith("add") for key in made_anew)
        assert needed - made_anew <= shuffled
        for key in again.keys() & shuffled:
            assert again[key] is run.graph[key]


def test_nothing_of_a_shuffle_can_be_done_without():
    run = graph_of(beyond())
    shuffled = shuffle_keys(run.graph)
    last = next(key for key in run.graph if str(key[0]).startswith("add") and key[1] == 1)
    assert {(run.name, 1), last} <= run.needed(1)
    assert run.can_make({(run.name, 1), last})
    others = {key for key in shuffled if key[0].startswith("rechunk-p2p") and key[1] != 1}
    assert shuffled & run.needed(1) == shuffled - others
    for key in shuffled - others:
        assert not run.can_make({key, (run.name, 1)})


def test_graphs_without_shuffles_are_made_anew_as_a_whole():
    run = graph_of(by_columns())
    again = run.again({1: 0, 9: 0}, "-again", anew=True).graph
    assert not again.keys() & run.graph.keys()
