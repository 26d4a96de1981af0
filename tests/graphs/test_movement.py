"""What the cluster really moves to make parity and to decode."""

from __future__ import annotations

import dask
import dask.array as da
import numpy as np
import pytest
from distributed import Client, futures_of, wait

import dask_bacc
from dask_bacc import coding
from tests.shared import by_hand, local_cluster, wait_until


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
