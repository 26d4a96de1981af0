"""Callbacks that are told what happens."""

from __future__ import annotations

import asyncio
import gc
import threading

import numpy as np
import pytest
from distributed import Client, Event

import dask_bacc
from tests.shared import X, held, wait_until


def test_callbacks_are_told_everything_in_order_on_the_event_loop(client, gate):
    run = dask_bacc.encode(X, k=8, n=8, code="uncoded").map(held, gate, {3})
    early, late, threads = [], [], set()
    run.on_event(early.append)
    run.on_event(lambda event: threads.add(threading.get_ident()))
    wait_until(lambda: len(run.report.returned) == 7)
    run.on_event(late.append)
    stopped = []
    stop = run.on_event(stopped.append)
    wait_until(lambda: len(stopped) == len(run.report.events))
    stop()
    seen = len(stopped)
    Event(gate, client=client).set()
    run.result(timeout=60)
    wait_until(lambda: len(early) == len(late) == len(run.report.events))
    assert tuple(early) == tuple(late) == run.report.events
    assert len(stopped) == seen < len(early)
    assert len(threads) == 1
    assert threads != {threading.get_ident()}
    after = []
    run.on_event(after.append)
    wait_until(lambda: tuple(after) == run.report.events)


def test_a_callback_that_raises_is_dropped_and_hurts_nobody(client, gate, caplog):
    run = dask_bacc.encode(X, k=8, n=8, code="uncoded").map(held, gate, {3})
    calls, others = [], []

    def bad(event):
        calls.append(event)
        if event.kind == "returned":
            raise ZeroDivisionError("of the callback")

    run.on_event(bad)
    run.on_event(others.append)
    Event(gate, client=client).set()
    np.testing.assert_array_equal(run.result(timeout=60), X**2)
    wait_until(lambda: len(others) == len(run.report.events))
    assert sum(event.kind == "returned" for event in calls) == 1
    assert len([r for r in caplog.records if r.exc_info and r.name == "dask_bacc"]) == 1
    assert "of the callback" in caplog.text
    with pytest.raises(TypeError, match="callback must be callable, got int"):
        run.on_event(1)


def test_a_callback_may_stop_itself_and_outlive_the_client(processes):
    with Client(processes, set_as_default=False) as other:
        coded = dask_bacc.encode(X, k=8, n=8, code="uncoded")
        run = coded.map(np.tanh, client=other)
        run.result(timeout=60)
        first = []

        def once(event):
            first.append(event)
            stop()

        stop = run.on_event(once)
        wait_until(lambda: first)
    assert first == [run.report.events[0]]
    replayed = []
    run.on_event(replayed.append)
    wait_until(lambda: tuple(replayed) == run.report.events)


def test_callbacks_do_not_keep_a_run_alive(client, gate):
    run = dask_bacc.encode(X, k=8, n=12).map(held, gate, range(8), enough=12)
    events = []
    run.on_event(events.append)
    wait_until(lambda: any(event.kind == "started" for event in events))
    del run
    gc.collect()
    wait_until(lambda: events[-1].kind == "failed")


def test_an_asynchronous_client_hears_of_events(processes):
    async def main():
        async with Client(processes.scheduler_address, asynchronous=True) as client:
            run = dask_bacc.encode(X, k=8, n=8, code="uncoded").map(np.tanh, client=client)
            events = asyncio.Queue()
            run.on_event(events.put_nowait)
            await run
            told = [await events.get() for _ in run.report.events]
            assert tuple(told) == run.report.events

    asyncio.run(main())
