"""What runs tell of themselves while they go on."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import threading
import time
from collections import defaultdict

import dask
import numpy as np
import pytest
from distributed import Client, Event

import dask_bacc
from dask_bacc.engine.scheduler import topic_of
from dask_bacc.records.state import RunState
from dask_bacc.worker.messages import unpacked
from tests.shared import X, closed_gate, local_cluster, own_block, wait_until

WEIGHTS = np.random.default_rng(0).normal(size=(2, 60))
ENDS = ("returned", "erred", "cancelled")


def work(block, gate, held=(), bad=()):
    if own_block(block) in bad:
        raise OSError("<i>no such file</i>\nat all")
    if own_block(block) in held:
        Event(gate).wait()
    return np.tanh(block @ WEIGHTS)


def kinds_of_chunks(events):
    kinds = defaultdict(list)
    for event in events:
        if event.chunk is not None:
            kinds[event.chunk].append(event.kind)
    return kinds


def launched(events):
    first = [chunk for event in events for chunk in event.chunks]
    return first + [event.chunk for event in events if event.kind == "backup"]


def assert_complete(report):
    """The events tell the whole story of the run, and no other than the report."""
    events = report.events
    assert events[0].kind == "submitted"
    assert events[-1].kind in ("decoded", "failed")
    times = [event.seconds for event in events]
    assert times == sorted(times)
    chunks = launched(events)
    assert sorted(chunks) == [i for i, c in enumerate(report.chunks) if c.state != "spare"]
    kinds = kinds_of_chunks(events)
    for chunk in chunks:
        assert sum(kind in ENDS for kind in kinds[chunk]) == 1
        assert kinds[chunk][-1] == report.chunks[chunk].state
    assert set(kinds) <= set(chunks)
    assert [e.chunk for e in events if e.kind == "returned"] == list(report.returned)
    assert {e.chunk: e.exception for e in events if e.kind == "erred"} == report.erred


def test_a_run_with_nothing_wrong(client, gate, patient):
    run = dask_bacc.encode(X, k=8, n=8, code="uncoded").map(work, gate)
    run.result()
    report = run.report
    assert_complete(report)
    workers = set(client.scheduler_info()["workers"])
    for chunk, kinds in kinds_of_chunks(report.events).items():
        assert kinds == ["started", "done", "returned"]
        assert {e.worker for e in report.events if e.chunk == chunk} <= workers
    assert report.events[0].chunks == tuple(range(8))
    assert report.events[-1].reason == report.stopped
    assert report.events[-1].error == report.error == 0


def test_a_chunk_that_takes_no_time_starts_and_ends_in_one_message(client):
    rounds, chunks, begin = 20, 2, time.time()

    def messages():
        return [
            [message.state for message in unpacked(event["bacc"])]
            for sent, event in client.get_events(topic_of(client))
            if sent >= begin
        ]

    coded = dask_bacc.encode(np.arange(2.0), k=chunks, n=chunks, code="uncoded")
    for _ in range(rounds):
        np.testing.assert_array_equal(coded.map(np.negative).result(), [0, -1])
    wait_until(lambda: sum(states.count("done") for states in messages()) >= rounds * chunks)
    # A busy machine may take the thread away from a chunk for longer than its messages wait.
    alone = sum(set(states) == {"running"} for states in messages())
    assert alone < rounds * chunks / 2


def test_a_chunk_that_ends_after_it_was_given_up_is_not_running():
    state = RunState(k=1, n=1, decoder="berrut")
    state.start(0, "a")
    state.give_up([0])
    assert state.report().still_running == {0: "a"}
    state.done(0, "a")
    assert state.report().still_running == {}
    assert state.report().cancelled == (0,)


def test_late_and_failing_chunks_and_their_backups(client, gate, patient):
    coded = dask_bacc.encode(X, k=8, n=12)
    # Long enough for an error to arrive on a busy machine before its chunk is late.
    with dask.config.set({"bacc.backup.minimum": 4}):
        run = coded.map(work, gate, held={2}, bad={5}, launch="backup", rtol=np.inf)
    run.result(timeout=60)
    report = run.report
    assert_complete(report)
    assert report.events[0].chunks == tuple(range(8))
    kinds = kinds_of_chunks(report.events)
    assert kinds[5][-2:] == ["done", "erred"]
    assert kinds[2] == ["started", "cancelled"]
    backups = [chunk for chunk, of_it in kinds.items() if "backup" in of_it]
    assert len(backups) >= 2
    assert all(chunk >= 8 and kinds[chunk][0] == "backup" for chunk in backups)
    assert sorted(backups) == [
        i for i, chunk in enumerate(report.chunks) if chunk.backup is not None
    ]
    assert report.events[-1].error == report.error > 0


def test_a_run_that_fails(client, gate):
    run = dask_bacc.encode(X, k=8, n=10).map(work, gate, bad=range(8))
    with pytest.raises(dask_bacc.DecodeError) as info:
        run.result(timeout=60)
    assert_complete(run.report)
    last = run.report.events[-1]
    assert (last.kind, last.reason) == ("failed", "all chunks ended")
    assert info.value.report.events == run.report.events[:-1]


def test_a_run_that_is_cancelled(client, gate):
    run = dask_bacc.encode(X, k=8, n=12).map(work, gate, held=range(8), enough=12)
    wait_until(lambda: any(event.kind == "started" for event in run.report.events))
    run.cancel()
    wait_until(lambda: run.report.events[-1].kind == "failed")
    assert_complete(run.report)
    assert run.report.events[-1].reason is None


def test_callbacks_are_told_everything_in_order_on_the_event_loop(client, gate):
    run = dask_bacc.encode(X, k=8, n=8, code="uncoded").map(work, gate, held={3})
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
    run = dask_bacc.encode(X, k=8, n=8, code="uncoded").map(work, gate, held={3})
    calls, others = [], []

    def bad(event):
        calls.append(event)
        if event.kind == "returned":
            raise ZeroDivisionError("of the callback")

    run.on_event(bad)
    run.on_event(others.append)
    Event(gate, client=client).set()
    np.testing.assert_array_equal(run.result(timeout=60), np.tanh(X @ WEIGHTS))
    wait_until(lambda: len(others) == len(run.report.events))
    assert sum(event.kind == "returned" for event in calls) == 1
    assert len([r for r in caplog.records if r.exc_info and r.name == "dask_bacc"]) == 1
    assert "of the callback" in caplog.text
    with pytest.raises(TypeError, match="callback must be callable, got int"):
        run.on_event(1)


def test_a_callback_may_stop_itself_and_outlive_the_client(processes, gate):
    with Client(processes, set_as_default=False) as other:
        coded = dask_bacc.encode(X, k=8, n=8, code="uncoded")
        run = coded.map(work, gate, client=other)
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
    run = dask_bacc.encode(X, k=8, n=12).map(work, gate, held=range(8), enough=12)
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


def test_the_log_has_a_line_for_every_event(client, gate, caplog):
    with caplog.at_level(logging.DEBUG, "dask_bacc"):
        run = dask_bacc.encode(X, k=8, n=12).map(work, gate, {0}, {1}, enough=11)
        wait_until(lambda: run.report.chunks[1].state == "erred")
        Event(gate, client=client).set()
        run.result(timeout=60)
    name = run._answer.run.name
    records = [r for r in caplog.records if r.getMessage().startswith(f"{name}: ")]
    assert [r.getMessage() for r in records] == [f"{name}: {e}" for e in run.report.events]
    assert not any("\n" in r.getMessage() for r in records)
    levels = [
        (r.levelno == logging.INFO) == (e.chunk is None)
        for r, e in zip(records, run.report.events, strict=True)
    ]
    assert all(levels)
    [line] = [r.getMessage() for r in records if "erred" in r.getMessage()]
    assert line.endswith("OSError: <i>no such file</i>")


def test_a_chunk_whose_worker_is_killed_is_lost_and_starts_again(patient):
    with local_cluster(2) as cluster, Client(cluster) as client, closed_gate(client) as gate:
        pids = client.run(os.getpid)
        run = dask_bacc.encode(X, k=8, n=8, code="uncoded").map(work, gate, held={3})
        wait_until(lambda: run.report.chunks[3].state == "running")
        victim = run.report.chunks[3].worker
        os.kill(pids[victim], signal.SIGKILL)
        wait_until(lambda: run.report.chunks[3].worker != victim)
        Event(gate, client=client).set()
        run.result(timeout=60)
        assert_complete(run.report)
        mine = [e for e in run.report.events if e.chunk == 3]
        assert [e.kind for e in mine] == ["started", "lost", "started", "done", "returned"]
        assert mine[1].worker == victim != mine[2].worker == run.report.chunks[3].worker


def test_a_retry_on_the_same_worker_is_no_loss():
    state = RunState(k=2, n=3, decoder="berrut")
    state.submit(range(3))
    state.start(0, "a")
    state.done(0, "a")
    state.start(0, "a")
    state.start(0, "b")
    kinds = [(e.kind, e.worker) for e in state.report().events[1:]]
    assert kinds == [
        ("started", "a"),
        ("done", "a"),
        ("started", "a"),
        ("lost", "a"),
        ("started", "b"),
    ]
