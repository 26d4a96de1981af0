"""Results that are fetched when they are wanted."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from distributed import Event

import dask_bacc
from dask_bacc.runtime.fetch import Fetcher
from dask_bacc.runtime.inline import InlineResults
from dask_bacc.runtime.monitor import Monitor
from tests.shared import X, assert_nothing_is_left, large, large_but_held, wait_until

pytestmark = pytest.mark.usefixtures("results_stay")


def test_results_stay_until_they_are_wanted(client):
    run = dask_bacc.encode(X, k=8, n=12).map(large, rtol=0)
    wait_until(lambda: run.status == "finished")
    assert run.report.error == 0
    # What had not returned was let go of.
    assert {key[1] for key in client.futures} == set(run.report.returned)
    np.testing.assert_array_equal(run.result(), large(X))
    assert_nothing_is_left(client)


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
        async with Fetcher(client, {(0, 0): first}, lambda attempted: "", nothing) as fetcher:
            while not fetcher.ready():
                await fetcher.wait()
            fetcher.add({(0, 0): second})
            outcome = await fetcher.take()
            return outcome.value, fetcher.ready()

    assert client.sync(taken) == (2, False)


def test_a_result_that_comes_by_another_way_is_taken_once_and_before_its_future_knows(client):
    goes_on = Event("goes-on", client=client)
    asked = []

    def last(goes_on):
        goes_on.wait()
        return 1

    future = client.submit(last, goes_on)

    async def known(index, *, failed):
        asked.append(index)

    async def taken():
        async with Fetcher(client, {(0, 0): future}, lambda attempted: "", known) as fetcher:
            assert fetcher.bring((0, 0), 2)
            assert not fetcher.bring((0, 1), 2)
            outcome = await fetcher.take()
            await goes_on.set()
            await future
            # The future's watcher was woken before this.
            await asyncio.sleep(0)
            return outcome.value, fetcher.ready(), future.status

    assert client.sync(taken) == (2, False, "finished")
    assert not asked


def test_results_that_are_fetched_while_they_are_left(client, monkeypatch):
    """By another thread, which lets go of them once it has them."""
    run = dask_bacc.encode(X, k=8, n=12).map(large, rtol=0)
    wait_until(lambda: run.status == "finished")

    async def refresh_while_somebody_fetches(monitor, client):
        await asyncio.to_thread(run.result)

    monkeypatch.setattr(Monitor, "refresh", refresh_while_somebody_fetches)
    np.testing.assert_array_equal(run.to_dask_array(timeout=60).compute(), large(X))
