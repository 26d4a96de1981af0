"""Which chunks still run, and which workers to keep off."""

from __future__ import annotations

import time

import numpy as np
import pytest
from distributed import Event

import dask_bacc
from dask_bacc.engine.scheduler import WorkerInfo
from dask_bacc.records.state import RunState
from dask_bacc.runtime.monitor import Monitor
from dask_bacc.runtime.monitors import monitor_of
from dask_bacc.worker.messages import Message, packed
from tests.shared import BLOCKS, X, large_but_held, wait_until


def workers(names, behind=()):
    late = dict(behind)
    return {name: WorkerInfo(1, late.get(name, 0.0), "running", True) for name in names}


def test_workers_whose_cancelled_chunks_end_soon_are_used_by_the_next_round():
    """Else a round would run on the few workers that had nothing to do when the last one ended."""
    monitor, now = Monitor(), time.monotonic()
    monitor.update(workers("abcd"))
    monitor.abandon("run", {(0, 0): "a", (1, 0): "b"}, {(0, 0): now + 100, (1, 0): now - 1})
    assert sorted(monitor.available()) == ["c", "d"]
    assert sorted(monitor.available(patient=True)) == ["a", "c", "d"]
    monitor.receive("b", packed([Message("run", 1, "done")]))
    assert monitor.available(patient=True) == []


def test_how_soon_cancelled_chunks_end_is_learnt_from_those_before():
    monitor = Monitor()
    monitor.update(workers("abcd"))
    assert monitor.speeds.letting_go(1.0) == 0
    for chunk in range(5):
        monitor.abandon("run", {(chunk, 0): "a"})
        monitor.receive("a", packed([Message("run", chunk, "done")]))
    assert 0 < monitor.speeds.letting_go(1.0) < 1
    # Who waits for longer than a chunk takes is better off elsewhere.
    assert monitor.speeds.letting_go(0.0) == 0


def test_workers_are_named_only_if_that_is_fresh_and_leaves_a_choice():
    monitor = Monitor()
    monitor.update(workers("ab", {"b": 9.0}))
    assert monitor.available() == []
    assert monitor.available(fewest=1) == ["a"]
    monitor.update(workers("abc", {"b": 9.0}))
    assert monitor.available() == ["a", "c"]
    monitor = Monitor(stale_after=0.0)
    monitor.update(workers("abc", {"b": 9.0}))
    assert monitor.available() == []


def test_chunks_that_start_while_they_are_cancelled_have_the_usual_time():
    monitor = Monitor()
    monitor.update(workers("abcd"))
    for run, limit, kept in (("slow", 100.0, ""), ("unknown", 0.0, "acd")):
        state = RunState(k=1, n=1, decoder="berrut")
        state.give_up([0])
        monitor.over(run, limit, state)
        monitor.receive("b", packed([Message(run, 0, "running")]))
        assert state.report().still_running == {0: "b"}
        assert "".join(sorted(monitor.available(patient=True))) == kept


@pytest.mark.usefixtures("results_stay")
def test_a_cancelled_chunk_that_has_ended_does_not_still_run(client, gate, other_gate):
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
