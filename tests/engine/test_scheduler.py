"""What is private in distributed, asked of a real cluster: one test for every part that may break.

Written against distributed 2026.8. Where a test fails with a later release, that release has
changed the part, and `dask_bacc.engine` is the only place to mend.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time

import numpy as np
import pytest
from dask.delayed import delayed
from distributed import Client, Event
from distributed.utils import open_port

import dask_bacc
from dask_bacc.engine import scheduler, whereabouts
from dask_bacc.engine.worker import fetched_from, get_worker, is_wanted, publish
from dask_bacc.runtime.monitors import monitor_of
from tests.shared import X, wait_until


def waits(gate: str) -> int:
    Event(gate).wait()
    return 1


@pytest.fixture
def gate(client):
    event = Event("gate-of-the-engine", client=client)
    event.clear()
    yield event.name
    event.set()


def test_workers_and_what_is_known_of_them(client):
    workers = client.sync(scheduler.workers_of, client)
    assert set(workers) == set(client.scheduler_info(n_workers=-1)["workers"])
    for info in workers.values():
        assert info.threads == 1
        assert info.running
        assert info.has_nanny
        assert 0 <= info.behind < 60
    assert 0 < scheduler.usual_heartbeat(4) < 10


def test_who_has_what_to_do(client, gate):
    there, waiting = client.scatter(1), client.submit(waits, gate, key="waiting")
    wait_until(lambda: any(client.processing().values()))
    processing = client.sync(whereabouts.keys_processing, client)
    (worker,) = [worker for worker, keys in processing.items() if waiting.key in keys]
    assert waiting.key in client.sync(whereabouts.keys_on, client, [worker])
    (holder,) = client.who_has([there])[there.key]
    assert there.key in client.sync(whereabouts.keys_on, client, [holder])


def test_what_workers_fetch_from_others_is_found(client):
    """Nothing, on a healthy cluster; that the worker's state has the table is what is tested."""
    first, *others = client.scheduler_info(n_workers=-1)["workers"]
    found = client.run(lambda dask_worker: fetched_from([first], dask_worker), workers=others)
    assert list(found.values()) == [set()] * len(others)
    assert client.sync(whereabouts.keys_awaited, client, [first], {"a", "b"}) == set()


def test_results_are_fetched_and_lost_ones_named(client):
    here = client.submit(int, 7, key="seven")
    here.result()
    values, lost = client.sync(scheduler.fetch, client, ["seven"])
    assert (values, lost) == ({"seven": 7}, [])
    values, lost = client.sync(scheduler.fetch, client, ["nobody has this"])
    assert (values, lost) == ({}, ["nobody has this"])


def test_the_state_of_a_future_goes_on_without_it(client, gate):
    future = client.submit(waits, gate, key="goes on")
    state = scheduler.state_of(future)
    assert state.status == "pending"
    assert scheduler.states_of(client)["goes on"] is state
    Event(gate, client=client).set()
    client.sync(state.wait)
    assert state.status == "finished"

    async def again():
        scheduler.report_again(client, "goes on")
        assert state.status == "pending"
        await state.wait()
        return state.status

    assert client.sync(again) == "finished"


def test_restrictions_are_lifted(client, gate):
    first = next(iter(client.scheduler_info(n_workers=-1)["workers"]))
    blocking = client.submit(waits, gate, workers=[first], key="blocking")
    bound = client.submit(int, 3, workers=[first], key="bound")

    def restricted():
        return client.run_on_scheduler(
            lambda dask_scheduler: (
                "bound" in dask_scheduler.tasks
                and dask_scheduler.tasks["bound"].worker_restrictions
            )
        )

    wait_until(restricted)
    client.sync(scheduler.lift_restrictions, client, ["bound"])
    assert not restricted()
    Event(gate, client=client).set()
    assert (blocking.result(), bound.result()) == (1, 3)


def test_a_task_knows_whether_it_is_wanted(client):
    assert is_wanted()
    assert client.submit(is_wanted, pure=False).result()


def test_messages_reach_their_client_alone_and_are_forgotten(processes, client):
    with Client(processes, set_as_default=False) as other:
        heard, unheard = [], []
        topic = scheduler.subscribe(client, lambda *said: heard.append(said))
        scheduler.subscribe(other, lambda *said: unheard.append(said))

        def say(topic):
            publish(get_worker(), topic, b"said")

        client.submit(say, topic, pure=False).result()
        wait_until(lambda: heard)
        assert heard[0][0] in client.scheduler_info(n_workers=-1)["workers"]
        assert heard[0][1] == b"said"
        # Messages of a worker arrive in order: had it been told, it would have heard by now.
        other.submit(say, scheduler.topic_of(other), pure=False).result()
        wait_until(lambda: unheard)
        assert len(unheard) == 1
    assert client.get_events(topic)
    client.sync(scheduler.forget_messages, client, topic)
    assert not client.get_events(topic)


def test_what_does_not_come_in_time_is_gone_without():
    async def impatient() -> float:
        begin = time.monotonic()
        async with scheduler.briefly(0.01):
            await asyncio.sleep(60)
        return time.monotonic() - begin

    assert asyncio.run(impatient()) < 60


def test_a_closed_client_is_not_asked(processes):
    with Client(processes, set_as_default=False) as closed:
        pass
    assert not scheduler.is_open(closed)
    with pytest.raises(RuntimeError, match="closed"):
        asyncio.run(whereabouts.keys_processing(closed))
    assert asyncio.run(scheduler.workers_of(closed)) == {}


@contextlib.contextmanager
def program(name, *arguments):
    """A process of one of distributed's programs."""
    process = subprocess.Popen([sys.executable, "-m", f"distributed.cli.{name}", *arguments])
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


@contextlib.contextmanager
def small_cluster(port):
    with (
        program("dask_scheduler", f"--port={port}", "--no-dashboard"),
        program("dask_worker", f"tcp://127.0.0.1:{port}", "--nthreads=4", "--no-dashboard"),
    ):
        yield


def test_a_scheduler_that_was_started_anew_is_asked_for_messages_again(patient):
    """It knows of no subscription, and the client connects to it by itself."""

    def who_ran(client):
        client.wait_for_workers(1, timeout=60)
        run = dask_bacc.encode(X, k=8, n=12).map(np.tanh, enough=12, client=client)
        run.result(timeout=60)
        return {run.report.chunks[chunk].worker for chunk in run.report.returned}

    port = open_port()
    with contextlib.ExitStack() as stack:
        with small_cluster(port):
            client = stack.enter_context(Client(f"tcp://127.0.0.1:{port}", timeout=60))
            (before,) = who_ran(client)
        wait_until(lambda: client.status != "running")
        with small_cluster(port):
            wait_until(lambda: client.status == "running", timeout=60)
            (after,) = who_ran(client)
            assert after not in (before, None)
            stack.close()


def test_a_client_asks_for_messages_once(client):
    """Whatever it says holds up by ten milliseconds what it says next."""
    said = []
    with pytest.MonkeyPatch.context() as patch:
        dask_bacc.encode(X, k=8, n=12).map(np.tanh).result(timeout=60)
        patch.setattr(client, "_send_to_scheduler", said.append)
        scheduler.subscribe(client, monitor_of(client).receive)
    assert said == []


def test_what_has_ended_is_not_cancelled_under_those_who_need_it(client):
    """The scheduler cuts off a client that cancels what unwanted tasks are made of."""
    event = Event("asked-for-no-more")
    done, going_on = client.submit(np.add, 1, 1), client.submit(event.wait)
    done.result()
    between = delayed(np.add)(done, 1)
    last = client.compute(delayed(np.add)(between, 1))
    assert last.result() == 4
    client.sync(scheduler.cancel_pending, client, [done, going_on])
    assert going_on.cancelled()
    assert client.submit(np.add, last, 1).result() == 5
    event.set()
