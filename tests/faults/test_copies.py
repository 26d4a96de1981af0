"""Blocks that are late are run once more beside themselves: what comes first counts."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
from distributed import Client, get_worker

import dask_bacc
from benchmarks.chaos.leaks import Baseline
from benchmarks.processes.cluster import pids, until
from tests.faults.work import wide
from tests.shared import local_cluster

K = 6
X = np.sin(np.arange(6 * K)[:, None] + np.arange(3))
#: Nothing that other blocks would tell of one.
TRUTH = np.sign(np.sin(1e3 * X))


def attempt_here() -> int:
    """Number of the attempt that the calling function was given; see `RunGraph.again`."""
    name = get_worker().get_current_task()[0]
    return int("-again-" in name)


def rough(
    block, gate: Path, slow: int, copy_raises=False, first_raises=False, started=None, known=None
):
    """The first attempt at one block waits at the gate, and does not hear that it is cancelled."""
    while known is not None and attempt_here() and not known.exists():
        time.sleep(0.005)
    if get_worker().get_current_task()[1] == slow:
        if attempt_here():
            if copy_raises:
                raise ZeroDivisionError("the copy")
            if started is not None:
                started.touch()
        else:
            while not (gate.exists() or (first_raises and started.exists())):
                time.sleep(0.005)
            if first_raises:
                raise ZeroDivisionError("the first")
    if started is not None and attempt_here():
        while not gate.exists():
            time.sleep(0.005)
    return np.sign(np.sin(1e3 * block))


def kinds(run, chunk):
    return [event.kind for event in run.report.events if event.chunk == chunk]


@contextlib.contextmanager
def no_key_left(client):
    baseline = Baseline.of(client)
    yield
    baseline.check_keys(client)


def let_copies_end(run, chunk, known: Path):
    """Once it is known here who runs the first attempt; its word may be late."""
    until(lambda: run.report.chunks[chunk].worker is not None, 120, "the block did not start")
    known.touch()


def wait_until_over(run):
    until(lambda: run.report.state != "still waiting", 120, "the run goes on")
    until(lambda: not run.report.still_running, 120, "cancelled attempts did not end")


@pytest.fixture(scope="module")
def seven():
    """One worker more than blocks."""
    with local_cluster(K + 1) as cluster:
        yield cluster


@pytest.fixture
def client(seven):
    with Client(seven) as client:
        client.run(wide, X)  # so that no worker is late with its imports
        yield client


ENCODINGS = {
    "no parity": {"k": K, "n": K, "code": "uncoded"},
    "exact": {"k": K, "n": K + 2},
}


SOURCES = {
    "numpy": np.asarray,
    # Its blocks are made on the cluster.
    "dask": lambda x: da.from_array(x, chunks=(6, 3)).map_blocks(np.positive),
}


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("launch", ["eager", "backup"])
@pytest.mark.parametrize("how", ENCODINGS)
def test_a_block_that_waits_is_run_once_more(client, gate, tmp_path, how, launch, source):
    known = tmp_path / "known"
    options = {"known": known, "copies": True, "rtol": 0, "launch": launch, "client": client}
    with no_key_left(client):
        coded = dask_bacc.encode(SOURCES[source](X), **ENCODINGS[how])
        run = coded.map(rough, gate, 2, **options)
        let_copies_end(run, 2, known)
        np.testing.assert_array_equal(run.result(timeout=60), TRUTH)
        report = run.report
        chunk = report.chunks[2]
        assert report.stopped == "every block returned"
        assert report.error == 0
        # The gate is shut: what returned was another attempt, on another worker.
        assert chunk.attempt > 0
        assert "copy" in kinds(run, 2)
        (first,) = [other for other in chunk.others if other.number == 0]
        assert first.worker != chunk.worker
        assert first.ended is not None
        assert report.still_running == {2: first.worker}
        # Parity would be no exact answer.
        assert all(c.state in ("returned", "spare") for c in report.chunks)
        gate.touch()
        wait_until_over(run)
        del run, report, coded


def test_the_next_run_keeps_off_the_worker_that_is_still_at_it(client, gate, tmp_path):
    known = tmp_path / "known"
    coded = dask_bacc.encode(X, **ENCODINGS["no parity"])
    run = coded.map(rough, gate, 2, known=known, copies=True, client=client)
    let_copies_end(run, 2, known)
    run.result(timeout=60)
    (busy,) = run.report.still_running.values()
    again = coded.map(np.tanh, client=client)
    np.testing.assert_array_equal(again.result(timeout=60), np.tanh(X))
    assert busy not in {chunk.worker for chunk in again.report.chunks}


def test_a_copy_that_raises_is_no_loss(client, gate):
    coded = dask_bacc.encode(X, **ENCODINGS["no parity"])
    run = coded.map(rough, gate, 2, copies=True, copy_raises=True, client=client)
    until(lambda: "lost" in kinds(run, 2), 120, "no copy failed")
    assert not run.report.erred
    gate.touch()
    np.testing.assert_array_equal(run.result(timeout=60), TRUTH)
    assert run.report.chunks[2].attempt == 0


def test_a_copy_counts_where_the_first_attempt_raises(client, gate, tmp_path):
    started = tmp_path / "started"
    coded = dask_bacc.encode(X, **ENCODINGS["no parity"])
    run = coded.map(rough, gate, 2, copies=True, first_raises=True, started=started, client=client)
    until(lambda: "lost" in kinds(run, 2), 120, "the first attempt did not fail")
    assert not run.report.erred
    gate.touch()
    np.testing.assert_array_equal(run.result(timeout=60), TRUTH)
    assert run.report.chunks[2].attempt > 0


def test_a_worker_that_hangs_is_passed_by(client, gate, hang):
    """Before anybody knows that it hangs, and however its heartbeats are."""
    found = pids(client)
    coded = dask_bacc.encode(X, **ENCODINGS["no parity"])
    run = coded.map(rough, gate, -1, copies=True, started=gate, client=client)
    np.testing.assert_array_equal(run.result(timeout=60), TRUTH)
    run = coded.map(rough, gate, 2, copies=True, client=client)
    until(lambda: run.report.chunks[2].worker is not None, 120, "the block did not start")
    victim = run.report.chunks[2].worker
    hang(found[victim])
    np.testing.assert_array_equal(run.result(timeout=60), TRUTH)
    assert victim not in {chunk.worker for chunk in run.report.chunks if chunk.attempt}


def test_both_workers_at_a_block_hang(client, gate, hang, configure):
    """The budget is used up by then, and what hangs is made good all the same."""
    configure({"bacc.backup.work": 1 + 1 / K})
    found = pids(client)
    coded = dask_bacc.encode(X, **ENCODINGS["no parity"])
    run = coded.map(waits_twice, gate, 2, copies=True, client=client)
    until(lambda: at_it(run, 2) == 2, 120, "no copy started")
    for victim in run.report.chunks[2].workers:
        hang(found[victim])
    gate.touch()
    np.testing.assert_array_equal(run.result(timeout=60), TRUTH)


def test_a_block_that_hangs_wherever_it_is_has_parity_in_its_place(client, gate):
    coded = dask_bacc.encode(X, **ENCODINGS["exact"])
    run = coded.map(smooth_but_stuck, gate, copies=True, launch="backup", rtol=np.inf)
    answer = run.result(timeout=60)
    report = run.report
    assert not gate.exists()
    assert 2 in report.missing
    assert 1 <= len(report.chunks[2].others) <= 2
    error = np.linalg.norm(answer - np.tanh(X)) / np.linalg.norm(np.tanh(X))
    assert error < 3 * report.error


def smooth_but_stuck(block, gate: Path):
    """The block that is the third waits, whoever has it."""
    while np.array_equal(block, X[12:18]) and not gate.exists():
        time.sleep(0.005)
    return np.tanh(block)


def waits_twice(block, gate: Path, slow: int):
    """All attempts at one block wait at the gate."""
    while get_worker().get_current_task()[1] == slow and not gate.exists():
        time.sleep(0.005)
    return np.sign(np.sin(1e3 * block))


def at_it(run, chunk):
    """How many attempts at a chunk have started."""
    return len(run.report.chunks[chunk].workers)


def slower_here(block, slow: str):
    """A tenth of the speed on one worker."""
    here = get_worker().address == slow
    end = time.monotonic() + (1.5 if here else 0.15)
    while time.monotonic() < end:
        time.sleep(0.005)  # stands in for compute time
    return np.sign(np.sin(1e3 * block))


def test_a_worker_that_is_slow_is_known_in_the_next_runs(client, configure):
    slow = sorted(pids(client))[0]
    coded = dask_bacc.encode(np.vstack([X, X[:6]]), k=K + 1, n=K + 1, code="uncoded")
    truth = np.sign(np.sin(1e3 * np.vstack([X, X[:6]])))
    run = coded.map(slower_here, slow, client=client)
    np.testing.assert_array_equal(run.result(timeout=60), truth)
    assert slow in {worker for chunk in run.report.chunks for worker in chunk.workers}
    assert run.report.slow == {}
    wait_until_over(run)
    again = coded.map(slower_here, slow, client=client)
    np.testing.assert_array_equal(again.result(timeout=60), truth)
    report = again.report
    assert list(report.slow) == [slow]
    assert report.slow[slow] > 5
    assert slow in str(report)
    assert slow not in {worker for chunk in report.chunks for worker in chunk.workers}
    # It is forgotten after a time.
    configure({"bacc.timing.slow-for": 1e-3})
    assert coded.map(slower_here, "nobody", client=client).report.slow == {}


def test_parity_is_held_back_where_slow_workers_leave_no_room_for_it(client):
    """It would begin when the blocks end, and keep its worker from the next run."""
    slow = sorted(pids(client))[0]
    coded = dask_bacc.encode(X, k=K, n=K + 4)
    options = {"rtol": np.inf, "enough": K, "client": client}
    for _ in range(2):
        run = coded.map(slower_here, slow, **options)
        run.result(timeout=60)
        wait_until_over(run)
    assert list(run.report.slow) == [slow]
    np.testing.assert_array_equal(run.result(), np.sign(np.sin(1e3 * X)))
    assert {record.state for record in run.report.chunks[K:]} == {"spare"}


def test_a_run_that_is_cancelled_with_copies_leaves_nothing(client, gate, tmp_path):
    started = tmp_path / "started"
    with no_key_left(client):
        coded = dask_bacc.encode(X, **ENCODINGS["no parity"])
        run = coded.map(rough, gate, 2, copies=True, started=started, client=client)
        until(started.exists, 120, "no copy started")
        run.cancel()
        gate.touch()
        wait_until_over(run)
        del run, coded


def test_functions_that_must_not_run_twice_are_not(client, gate):
    coded = dask_bacc.encode(X, **ENCODINGS["no parity"])
    run = coded.map(rough, gate, 2, deadline=3.0, copies=False, client=client)
    with pytest.raises(dask_bacc.DecodeError, match="blocks 2 are lost"):
        run.result(timeout=60)
    assert "copy" not in {event.kind for event in run.report.events}
