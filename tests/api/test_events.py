"""What runs tell of themselves while they go on."""

from __future__ import annotations

import logging
import os
import signal
from collections import defaultdict

import dask
import numpy as np
import pytest
from distributed import Client, Event

import dask_bacc
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


@pytest.mark.usefixtures("patient", "no_copies")
def test_a_chunk_whose_worker_is_killed_is_lost_and_starts_again():
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
