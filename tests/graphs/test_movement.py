"""The cost model of making parity, and what the cluster really moves."""

from __future__ import annotations

import dask
import dask.array as da
import numpy as np
import pytest
from distributed import Client, futures_of, wait

import dask_bacc
from dask_bacc import coding
from dask_bacc.graphs.cost import Work, choose_slices, cost
from dask_bacc.graphs.encode import alone_key
from tests.shared import by_hand, local_cluster, wait_until

X = np.random.default_rng(1).normal(size=(48, 7, 5))


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
        coded = dask_bacc.encode(da.from_array(X, chunks=(3, -1, -1)), n=code.n, code=code)
    graph = coded.__dask_graph__()
    names = {key[0] for key in graph if key[0].startswith(("rechunk-split", "gathered"))}
    return {
        key: task
        for key, task in graph.items()
        if key[0] in names or (key[0] == coded.parts[0].name and code.own_blocks[key[1]] < 0)
    }


@pytest.mark.parametrize("slices", [0, 1, 2, 3, 5])
@pytest.mark.parametrize("name", ["systematic", "local", "berrut", "convex"])
@pytest.mark.parametrize("axis", [0, 1])
def test_every_way_makes_the_same_chunks(configure, slices, name, axis):
    configure({"bacc.encode.slices": slices})
    array = X if axis == 0 else np.moveaxis(X, 0, 1).astype("float32")
    for group_size in (8, None):
        with dask.config.set({"bacc.group-size": group_size}):
            coded = dask_bacc.encode(
                da.from_array(array, chunks=(2, -1, 3)), k=16, n=21, code=name, axis=axis
            )
        expected = by_hand(coded.code, array, axis)
        np.testing.assert_allclose(coded.compute(), expected, rtol=1e-4, atol=1e-5)


def test_a_nan_stays_in_its_chunks_when_blocks_are_gathered(configure):
    configure({"bacc.encode.slices": 2})
    array = X.copy()
    array[0, 0, 0] = np.nan
    coded = dask_bacc.encode(da.from_array(array, chunks=(3, -1, -1)), n=20, code="local")
    bad = np.isnan(coded.compute()).any(axis=(1, 2, 3))
    np.testing.assert_array_equal(np.flatnonzero(bad), [0, 16])


def test_a_backup_is_made_without_the_other_parity(configure):
    """Only its own task stands between the blocks and a chunk that is wanted alone."""
    configure({"bacc.encode.slices": 4})
    coded = dask_bacc.encode(da.from_array(X, chunks=(3, -1, -1)), n=20)
    graph = coded.__dask_graph__()
    key = alone_key(coded.parts[0].name, 17)
    blocks = np.split(X, 16)
    targets = {graph[coded.parts[0].name, j].target for j in range(16)}
    assert graph[key].dependencies == targets
    values = {graph[coded.parts[0].name, j].target: block for j, block in enumerate(blocks)}
    np.testing.assert_allclose(graph[key](values), by_hand(coded.code, X)[17], atol=1e-12)


@pytest.fixture(scope="module")
def eight():
    with (
        # Tasks that are stolen while their sources are on the way move these twice.
        dask.config.set({"distributed.scheduler.work-stealing": False}),
        local_cluster(8) as cluster,
        Client(cluster) as client,
    ):
        yield client


def encoded(client, blocks, **options):
    """Chunks on the workers, and the bytes that the workers sent for them over a block's."""
    array = da.random.random((16 * blocks, 128), chunks=(blocks, 128)).persist()
    wait(array)
    before = sent(client)
    coded = dask_bacc.encode(array, n=20, **options).persist()
    wait(futures_of(coded))
    return array, coded, (sent(client) - before) / (blocks * 128 * 8)


def sent(client):
    counts = client.run(lambda dask_worker: dask_worker.transfer_outgoing_bytes_total)
    return sum(counts.values())


def test_bytes_that_workers_send(eight):
    """From distributed's own counters, for blocks of 4 MB that the workers hold."""
    with dask.config.set({"bacc.encode.slices": 0}):
        *_, direct = encoded(eight, 4096)
    array, coded, chosen = encoded(eight, 4096)
    assert chosen <= 1.15 * 20
    assert chosen <= direct / 3
    np.testing.assert_allclose(
        coded.compute()[16:], by_hand(coded.code, array.compute())[16:], atol=1e-12
    )


def test_local_parity_takes_each_block_once(eight):
    *_, moved = encoded(eight, 512, code="local")
    assert moved <= 16


def test_parity_ends_on_several_workers(eight):
    """One worker that is lost must not take all parity with it."""
    _, coded, _ = encoded(eight, 4096)
    parity = [f for f in futures_of(coded) if coded.code.own_blocks[f.key[1]] < 0]
    homes = {worker for workers in eight.who_has(parity).values() for worker in workers}
    assert len(homes) > 1


def decoded(client, structured):
    """The answer, its results, the bytes that workers sent over a result's, and the code."""
    array = 2 + np.sin(np.arange(16 * 64)[:, None] / 200 + np.arange(8))

    def large(block):
        whole = np.tile(block, (16, 64))
        return {"whole": whole, "rows": whole.sum(axis=1)} if structured else whole

    coded = dask_bacc.encode(array, k=16, n=20, code="berrut")
    run = coded.map(large, combine="stack", enough=20, decoder="berrut")
    wait_until(lambda: run.status == "finished")
    # If there are workers to keep off, decoding starts here.
    before = sent(client)
    (answer,) = dask.persist(run.to_dask_array())
    wait(futures_of(answer))
    moved = (sent(client) - before) / (16 * 64 * 64 * 8 * 8)
    chunks = coded.compute(scheduler="sync")
    results = {i: large(chunks[i]) for i in run.report.returned}
    return answer, results, moved, coded.code


@pytest.mark.parametrize("structured", [False, True])
def test_bytes_that_workers_send_for_decoding(eight, structured):
    """No block of these codes is a result, so each is made of all; results of 4 MB stay."""
    with dask.config.set({"bacc.gather-limit": "1 MB"}):
        with dask.config.set({"bacc.encode.slices": 0}):
            *_, direct, _ = decoded(eight, structured)
        answer, results, chosen, code = decoded(eight, structured)
    assert chosen <= 1.15 * (16 + len(results))
    assert chosen <= direct / 3
    for block in (0, 9):
        if structured:
            rows = {i: result["rows"] for i, result in results.items()}
            expected = coding.decode(code, rows, decoder="berrut").blocks
            np.testing.assert_allclose(answer["rows"][block].compute(), expected[block])
        else:
            expected = coding.decode(code, results, decoder="berrut").blocks
            np.testing.assert_allclose(answer[block].compute(), expected[block], atol=1e-9)
