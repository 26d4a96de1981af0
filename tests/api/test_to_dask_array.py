"""Answers as dask arrays, decoded where the results are."""

from __future__ import annotations

import asyncio
import gc

import dask
import dask.array as da
import numpy as np
import pytest
from distributed import Client

import dask_bacc
from dask_bacc import coding
from tests.shared import BLOCKS, X, assert_nothing_is_left, large, large_but_held

pytestmark = pytest.mark.usefixtures("results_stay")


def test_what_all_blocks_returned_is_that_of_map_blocks(client):
    array = da.from_array(X, chunks=(3, 2))
    run = dask_bacc.encode(array, n=12).map(large, rtol=0)
    answer = run.to_dask_array()
    assert isinstance(answer, da.Array)
    assert answer.chunks == ((3,) * 8, (3000,))
    assert run.report.error == 0
    plain = array.map_blocks(large, chunks=((3,) * 8, (3000,)), dtype=float, meta=X[:0])
    np.testing.assert_array_equal((answer - plain).compute(), 0)


@pytest.mark.parametrize("combine", ["concat", "stack", "sum", "mean"])
@pytest.mark.parametrize("code", ["systematic", "berrut", "local"])
def test_the_answer_is_the_same_as_here(client, gate, combine, code):
    coded = dask_bacc.encode(X, k=8, n=12, code=code)
    run = coded.map(large_but_held, gate, {2, 5}, rtol=np.inf, combine=combine)
    lazy = run.to_dask_array()
    decoded, estimate = lazy.compute(), run.report.error
    here = run.result()
    assert lazy.shape == here.shape
    assert lazy.dtype == here.dtype
    truth = {"concat": large(X), "stack": np.stack([large(b) for b in BLOCKS])}
    truth["sum"] = truth["stack"].sum(axis=0)
    truth["mean"] = truth["stack"].mean(axis=0)
    size = np.sqrt(np.mean(truth["stack"] ** 2)) * (8 if combine == "sum" else 1)
    # Fewer results may do when they are fetched, and there may be time to look at their rows, so
    # the two answers need not be the same.
    for answer, error in ((decoded, estimate), (here, run.report.error)):
        assert np.sqrt(np.mean((answer - truth[combine]) ** 2)) < 3 * error * size


@pytest.mark.parametrize("slices", [0, 1, 3])
@pytest.mark.parametrize("combine", ["concat", "stack"])
@pytest.mark.parametrize("code", ["berrut", "systematic"])
def test_every_way_decodes_the_same(client, gate, configure, slices, combine, code):
    """Against the decoder itself, applied to the same results on this side."""
    configure({"bacc.encode.slices": slices})

    def both(block, gate):
        whole = large_but_held(block, gate, {2, 5})
        return {"wide": whole, "first": whole[:, 0].astype("float32")}

    coded = dask_bacc.encode(X, k=8, n=12, code=code)
    run = coded.map(both, gate, rtol=np.inf, combine=combine, decoder="berrut")
    decoded = dask.compute(run.to_dask_array())[0]
    chunks = coded.compute(scheduler="sync")
    results = {i: large(chunks[i]) for i in run.report.returned}
    expected = coding.decode(coded.code, results, decoder="berrut").blocks
    for name, truth in (("wide", expected), ("first", expected[..., 0])):
        whole = truth if combine == "stack" else np.concatenate(truth)
        np.testing.assert_allclose(decoded[name], whole, rtol=1e-5, atol=1e-5)
    assert decoded["wide"].dtype == np.float64
    assert decoded["first"].dtype == np.float32


def test_structures(client):
    def both(block):
        return {"wide": large(block), "rows": block.sum(axis=1)}

    lazy = dask_bacc.encode(X, k=8, n=8, code="uncoded").map(both).to_dask_array()
    computed = dask.compute(lazy)[0]
    np.testing.assert_array_equal(computed["wide"], large(X))
    np.testing.assert_allclose(computed["rows"], X.sum(axis=1))


def test_small_results_come_here_and_go_back(client):
    run = dask_bacc.encode(X, k=8, n=12).map(np.tanh, rtol=0)
    lazy = run.to_dask_array()
    assert lazy.chunks == ((3,) * 8, (2,))
    np.testing.assert_array_equal(lazy.compute(), np.tanh(X))


def test_a_dropped_run_and_its_array_leave_nothing(client):
    lazy = dask_bacc.encode(X, k=8, n=12).map(large, rtol=0).to_dask_array()
    gc.collect()
    np.testing.assert_array_equal(lazy.compute(), large(X))
    del lazy
    gc.collect()
    assert_nothing_is_left(client)


def test_an_error_is_raised_at_once(client):
    def fails(block):
        raise OSError("no such file")

    run = dask_bacc.encode(X, k=8, n=12).map(fails)
    with pytest.raises(dask_bacc.DecodeError, match="no such file"):
        run.to_dask_array()
    assert_nothing_is_left(client)


def test_with_an_asynchronous_client(processes):
    async def go():
        async with Client(processes.scheduler_address, asynchronous=True) as client:
            run = dask_bacc.encode(X, k=8, n=12).map(large, rtol=0, client=client)
            lazy = await run.to_dask_array()
            first = await client.compute(lazy)
            return first, await run

    for answer in asyncio.run(go()):
        np.testing.assert_array_equal(answer, large(X))


def test_an_answer_that_overflows_is_refused(client):
    def huge(block):
        return np.full(3000, 3e38, dtype=np.float32)

    coded = dask_bacc.encode(np.zeros(8), k=4, n=4, code="uncoded")
    lazy = coded.map(huge, combine="sum").to_dask_array()
    with pytest.raises(OverflowError, match="overflows float32"):
        lazy.compute()


@pytest.mark.parametrize("combine", ["concat", "stack", "sum", "mean"])
@pytest.mark.parametrize("limit", ["0 B", "1 GB"])
def test_members_as_dask_arrays(client, combine, limit):
    array = np.random.default_rng(0).normal(size=(48, 4))

    def several(block):
        single = block.astype("f4")
        return {"b": single, "a": [2j * block, block > 0], "total": block.sum(axis=0)}

    coded = dask_bacc.encode(array, k=8, n=12)
    with dask.config.set({"bacc.gather-limit": limit}):
        run = coded.map(several, combine=combine, enough=12, client=client)
        lazy = run.to_dask_array(timeout=60)
        (computed,) = dask.compute(lazy)
    here = run.result(timeout=60)
    assert lazy["a"][1].numblocks[0] == (8 if combine in ("concat", "stack") else 1)
    each = [several(block) for block in np.split(array, 8)]
    join = {"concat": np.concatenate, "stack": np.stack}
    for pick in (lambda r: r["b"], lambda r: r["a"][0], lambda r: r["a"][1], lambda r: r["total"]):
        parts = [pick(one) for one in each]
        whole = join[combine](parts) if combine in join else np.stack(parts).sum(axis=0)
        whole = whole / 8 if combine == "mean" else whole
        for answer in (computed, here):
            np.testing.assert_allclose(pick(answer), whole, rtol=1e-5, atol=1e-5)
            assert pick(answer).dtype == pick(lazy).dtype
