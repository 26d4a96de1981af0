"""Results that stay on the workers, and answers decoded there."""

from __future__ import annotations

import asyncio
import gc
from concurrent.futures import CancelledError

import dask
import dask.array as da
import numpy as np
import pytest
from distributed import Client, Event, futures_of

import dask_bacc
from dask_bacc import coding
from dask_bacc.runtime.fetch import Fetcher
from dask_bacc.runtime.inline import InlineResults
from dask_bacc.runtime.monitor import Monitor, monitor_of
from tests.shared import (
    BLOCKS,
    X,
    assert_nothing_is_left,
    large,
    large_but_held,
    relative_error,
    wait_until,
)

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


def test_workers_that_are_stuck_decode_nothing(client, gate):
    """To the scheduler they look idle, and it would have them steal."""
    many = np.arange(48.0)

    def long(block, gate):
        if block[0] in (2, 5):
            Event(gate).wait()
        return np.tanh(block / 50) + np.zeros(400_000)

    run = dask_bacc.encode(many, n=60, k=48).map(long, gate, rtol=np.inf)
    wait_until(lambda: run.status == "finished")
    # Others may have been about to return when they were cancelled.
    wait_until(lambda: {chunk for _, chunk in monitor_of(client).still_running()} <= {2, 5})
    lazy = run.to_dask_array(timeout=60)
    wait_until(lambda: all(future.status == "finished" for future in futures_of(lazy)))
    stuck = set(monitor_of(client).still_running().values())
    assert stuck
    assert not stuck.intersection(*client.who_has(lazy).values())

    # From then on it may be anywhere.
    def kept(dask_scheduler):
        return [key for key, ts in dask_scheduler.tasks.items() if ts.worker_restrictions]

    wait_until(lambda: not client.run_on_scheduler(kept))
    Event(gate, client=client).set()
    truth = np.tanh(many / 50)
    assert relative_error(lazy[::400_000].compute(), truth) < 3 * run.report.error


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


def test_results_stay_until_they_are_wanted(client):
    run = dask_bacc.encode(X, k=8, n=12).map(large, rtol=0)
    wait_until(lambda: run.status == "finished")
    assert run.report.error == 0
    # What had not returned was let go of.
    assert {key[1] for key in client.futures} == set(run.report.returned)
    np.testing.assert_array_equal(run.result(), large(X))
    assert_nothing_is_left(client)


def test_a_run_that_is_cancelled_lets_go_of_its_results(client):
    run = dask_bacc.encode(X, k=8, n=12).map(large, rtol=0)
    wait_until(lambda: run.status == "finished")
    assert client.futures
    run.cancel()
    assert_nothing_is_left(client)
    for call in (run.result, run.to_dask_array):
        with pytest.raises(CancelledError):
            call(timeout=20)


def test_a_deadline_that_has_passed_before_results_are_fetched(client, gate):
    run = dask_bacc.encode(X, k=8, n=10).map(large_but_held, gate, {1, 3, 5}, enough=9, deadline=4)
    wait_until(lambda: run.status == "finished")
    with pytest.warns(RuntimeWarning, match="fewer than enough=9"):
        answer = run.result(timeout=60)
    assert np.isfinite(answer).all()
    np.testing.assert_array_equal(answer[:3], large(X[:3]))
    assert run.report.stopped == "deadline"


def test_a_deadline_that_passes_while_results_are_fetched(client, gate, patient, monkeypatch):
    """They had returned in time, and count."""
    fetch = Fetcher._fetch

    async def not_in_time(fetcher, batch):
        while run.status == "pending":
            await asyncio.sleep(0.01)
        await fetch(fetcher, batch)

    monkeypatch.setattr(Fetcher, "_fetch", not_in_time)
    run = dask_bacc.encode(X, k=8, n=10).map(large_but_held, gate, {5}, rtol=0, deadline=4)
    wait_until(lambda: len(run.report.returned) == 9)
    with pytest.warns(RuntimeWarning, match="above rtol=0"):
        answer = run.result(timeout=60)
    assert len(run.report.returned) == 9
    np.testing.assert_array_equal(answer[:15], large(X[:15]))


def test_results_are_not_fetched_because_their_messages_are_late(client, monkeypatch):
    """On a busy worker they are, and one result may be larger than all that is to come here."""
    take, fetch, fetched = InlineResults.take, Fetcher._fetch, []

    def late(inline, message):
        asyncio.get_running_loop().call_later(0.5, take, inline, message)

    async def noted(fetcher, batch):
        fetched.extend(batch)
        await fetch(fetcher, batch)

    monkeypatch.setattr(InlineResults, "take", late)
    monkeypatch.setattr(Fetcher, "_fetch", noted)
    run = dask_bacc.encode(X, k=8, n=12).map(large, rtol=0)
    wait_until(lambda: run.status == "finished")
    assert not fetched
    monkeypatch.undo()
    np.testing.assert_array_equal(run.result(timeout=60), large(X))


def test_what_takes_the_place_of_a_result_at_hand_is_the_only_one(client):
    first, second = client.submit(int, 1), client.submit(int, 2)

    async def nothing(index, *, failed):
        return None

    async def taken():
        async with Fetcher(client, {0: first}, lambda index: "", nothing) as fetcher:
            while not fetcher.ready():
                await fetcher.wait()
            fetcher.add({0: second})
            outcome = await fetcher.take()
            return outcome.value, fetcher.ready()

    assert client.sync(taken) == (2, False)


def test_results_that_are_fetched_while_they_are_left(client, monkeypatch):
    """By another thread, which lets go of them once it has them."""
    run = dask_bacc.encode(X, k=8, n=12).map(large, rtol=0)
    wait_until(lambda: run.status == "finished")

    async def refresh_while_somebody_fetches(monitor, client):
        await asyncio.to_thread(run.result)

    monkeypatch.setattr(Monitor, "refresh", refresh_while_somebody_fetches)
    np.testing.assert_array_equal(run.to_dask_array(timeout=60).compute(), large(X))


def test_workers_know_the_size_of_results(client):
    run = dask_bacc.encode(X, k=8, n=8, code="uncoded").map(large)
    wait_until(lambda: run.status == "finished")
    held = sum(client.run(lambda dask_worker: dask_worker.state.nbytes).values())
    # Sketches come on top.
    assert large(X).nbytes <= held < 1.5 * large(X).nbytes
    run.result()


def test_a_cancelled_chunk_that_has_ended_is_no_zombie_again(client, gate, other_gate):
    def work(block):
        return large_but_held(all_but_first(block), gate, {5})

    def all_but_first(block):
        if np.array_equal(block, BLOCKS[0]):
            Event(other_gate).wait()
        return block

    run = dask_bacc.encode(X, k=8, n=12).map(work, rtol=np.inf, enough=11)
    wait_until(lambda: run.report.chunks[5].state == "running")
    Event(other_gate, client=client).set()
    wait_until(lambda: run.status == "finished")
    wait_until(lambda: monitor_of(client).still_running())
    Event(gate, client=client).set()
    wait_until(lambda: not monitor_of(client).still_running())
    run.result()
    assert not monitor_of(client).still_running()
    assert not run.report.still_running


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
