"""The scheduler is lost or hangs, the client closes, or runs get in each other's way."""

from __future__ import annotations

import gc
import signal
import threading
import weakref
from concurrent.futures import CancelledError, ThreadPoolExecutor

import dask
import numpy as np
import pytest
from distributed import get_worker

import dask_bacc
from benchmarks.chaos.leaks import Baseline, busy_threads
from benchmarks.processes.cluster import pids, send, until
from tests.faults.work import DEADLINE, N, check, encoded, held, source, wait_for_start, wide

LAUNCHES = ["eager", "backup"]


@pytest.mark.parametrize("launch", LAUNCHES)
def test_the_scheduler_is_killed(start, gate, launch):
    nodes = start(4)
    before = busy_threads()
    with nodes.client() as client:
        run = encoded().map(held, gate, {3}, launch=launch, rtol=0, deadline=4, client=client)
        until(lambda: len(run.report.returned) >= 6, 20, "no results")
        send(nodes.scheduler.pid, signal.SIGKILL)
        try:
            until(lambda: run.status != "pending", 20, "the run has not ended")
            check(run)
        except dask_bacc.DecodeError:
            assert len(run.report.returned) < 8
        assert run.report.seconds < 9
        gate.touch()
    until(lambda: not busy_threads() - before, 60, "threads are left")


@pytest.mark.parametrize("launch", LAUNCHES)
def test_the_scheduler_hangs(start, gate, launch):
    nodes = start(4)
    with nodes.client() as client:
        baseline = Baseline.of(client)
        # Chunks are late only after the scheduler has stopped.
        with dask.config.set({"bacc.backup.minimum": 3}):
            run = encoded().map(held, gate, {3}, launch=launch, rtol=0, deadline=4, client=client)
        until(lambda: len(run.report.returned) >= 7, 20, "no results")
        send(nodes.scheduler.pid, signal.SIGSTOP)
        try:
            until(lambda: run.status != "pending", 20, "the run has not ended")
        finally:
            send(nodes.scheduler.pid, signal.SIGCONT)
            gate.touch()
        assert run.report.seconds < 9
        check(run)
        baseline.check_keys(client)
        baseline.check_process(client)


def test_the_client_closes(start, gate):
    nodes = start(4)
    before = busy_threads()
    with nodes.client() as client:
        run = encoded().map(held, gate, rtol=0, deadline=3, client=client)
        wait_for_start(run, 4)
    with pytest.raises((dask_bacc.DecodeError, CancelledError)):
        run.result(timeout=10)
    gate.touch()
    until(lambda: not busy_threads() - before, 60, "threads are left")


def odd(block):
    return np.zeros(int(abs(block[0, 0]) * 1e6) % 97)


def test_a_run_that_failed_goes_with_its_chunks(start):
    """What the caller held is let go when the caller is through, whatever the run raised."""

    def fail(client):
        data = client.persist(encoded(source()))
        run = data.map(odd, deadline=DEADLINE, client=client)
        with pytest.raises(dask_bacc.DecodeError, match="different structure"):
            run.result(timeout=30)
        return weakref.ref(run)

    with start(2).client() as client:
        baseline = Baseline.of(client)
        ref = fail(client)
        # The event loop may still be letting go of it.
        until(lambda: gc.collect() >= 0 and ref() is None, 20, "the run is still held")
        baseline.check_keys(client)


def test_a_run_that_failed_after_backups_holds_no_results(start):
    with start(4).client() as client:
        baseline = Baseline.of(client)
        run = encoded().map(odd_backups, launch="backup", rtol=0, deadline=DEADLINE, client=client)
        with pytest.raises(dask_bacc.DecodeError, match="different structure"):
            run.result(timeout=30)
        baseline.check_keys(client)


def odd_backups(block):
    chunk = get_worker().get_current_task()[1]
    if chunk == 3:
        raise ArithmeticError("one is missing")
    return wide(block) if chunk < 8 else np.zeros(3)


def test_the_same_array_is_mapped_by_two_threads(start, nothing_left):
    with start(4).client() as client, nothing_left(client):
        data = encoded(source())
        together = threading.Barrier(2)

        def use(_):
            together.wait()
            for _ in range(5):
                run = data.map(wide, enough=N, rtol=0, deadline=DEADLINE, client=client)
                assert check(run).error == 0

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(use, range(2)))


def test_the_same_array_is_mapped_by_two_clients(start, gate):
    """One of them gives up while the other waits for the same chunks."""
    nodes = start(4)
    with nodes.client() as client, nodes.client() as other:
        baseline = Baseline.of(client)
        data = encoded(source())
        first = data.map(held, gate, rtol=0, enough=N, deadline=DEADLINE, client=client)
        second = data.map(held, gate, rtol=0, enough=N, deadline=DEADLINE, client=other)
        # Whose chunks get the threads is the scheduler's to say.
        both = (first, second)
        until(
            lambda: any(c.worker for run in both for c in run.report.chunks), 30, "no chunk began"
        )
        first.cancel()
        gate.touch()
        assert check(second).error == 0
        baseline.check_keys(client)
        baseline.check_keys(other)


def test_two_runs_share_a_worker_that_hangs(start, gate, hang, nothing_left):
    with start(6).client() as client, nothing_left(client):
        options = {"rtol": np.inf, "deadline": DEADLINE, "client": client}
        runs = [encoded().map(held, gate, **options), encoded(source()).map(held, gate, **options)]
        wait_for_start(runs[0], 6)
        hang(next(iter(pids(client).values())))
        gate.touch()
        for run in runs:
            assert check(run).stopped != "deadline"
        del runs, run
        for pid in pids(client).values():
            send(pid, signal.SIGCONT)
