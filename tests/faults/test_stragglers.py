"""Chunks that are late and workers that stay behind, on real processes."""

from __future__ import annotations

import logging
import os
import time
import uuid

import dask
import dask.array as da
import numpy as np
import pytest
from distributed import Event, futures_of, wait

import dask_bacc
from dask_bacc.runtime.monitor import Monitor
from dask_bacc.runtime.monitors import monitor_of
from tests.shared import wait_until

#: Varies smoothly from block to block.
X = np.sin(np.arange(48)[:, None] / 30 + np.arange(3))
BLOCKS = np.split(X, 8)
WEIGHTS = np.random.default_rng(0).normal(size=(3, 60))


def wide(block):
    return np.tanh(block @ WEIGHTS)


def relative_error(answer):
    return np.linalg.norm(answer - wide(X)) / np.linalg.norm(wide(X))


def held(block, gate, blocks):
    """Some blocks' own chunks wait at the gate, deaf to all calls."""
    if any(np.array_equal(block, BLOCKS[j]) for j in blocks):
        Event(gate).wait()
    return wide(block)


def obedient(block, blocks):
    """The same, but asks whether it is still wanted."""
    if any(np.array_equal(block, BLOCKS[j]) for j in blocks):
        while not dask_bacc.should_stop():
            time.sleep(0.01)
    return wide(block)


@pytest.fixture
def gate_file(tmp_path):
    """A file that chunks wait for; it is there at the end in any case."""
    path = tmp_path / "gate"
    yield path
    path.touch()


@pytest.fixture
def gate(cluster, no_copies):
    event = Event(f"gate-{uuid.uuid4()}", client=cluster)
    yield event
    event.set()


def still_running(client):
    return monitor_of(client).still_running()


def test_with_nothing_wrong_no_backup_is_launched(cluster):
    coded = dask_bacc.encode(da.from_array(X, chunks=(6, 3)), n=12)
    # On a busy machine a task of no length may take longer than the default.
    with dask.config.set({"bacc.backup.minimum": 5}):
        run = coded.map(wide, launch="backup")
    np.testing.assert_array_equal(run.result(), wide(X))
    assert sorted(run.report.returned) == list(range(8))
    assert all(chunk.state == "spare" for chunk in run.report.chunks[8:])
    assert run.report.missing == ()


def test_one_backup_stands_in_for_each_late_chunk(cluster, gate):
    coded = dask_bacc.encode(da.from_array(X, chunks=(6, 3)), n=12)
    # Long enough for a backup on a busy machine, or it would be late as well.
    with dask.config.set({"bacc.backup.minimum": 5}):
        run = coded.map(held, gate.name, {2, 5}, launch="backup", rtol=np.inf)
    answer = run.result(timeout=60)
    report = run.report
    assert sorted(report.missing) == [2, 5]
    launched = [i for i in range(8, 12) if report.chunks[i].state != "spare"]
    assert len(launched) == 2
    late = {report.chunks[2].worker, report.chunks[5].worker}
    assert not late & {report.chunks[i].worker for i in launched}
    assert relative_error(answer) < 3 * report.error


def mirrored(block):
    """Nothing that its rows would tell one by one: each is weighed by another."""
    return wide(block[::-1] * block)


def held_mirrored(block, gate, j):
    if np.array_equal(block, BLOCKS[j]):
        Event(gate).wait()
    return mirrored(block)


def test_backups_follow_until_the_estimate_is_small_enough(cluster, gate):
    coded = dask_bacc.encode(X, k=8, n=16)
    # Long enough for the others on a busy machine: with two of them missing, all backups are few.
    with dask.config.set({"bacc.backup.minimum": 3}):
        run = coded.map(held_mirrored, gate.name, 3, launch="backup", rtol=2e-3)
    answer = run.result(timeout=60)
    expected = np.concatenate([mirrored(block) for block in BLOCKS])
    assert run.report.error <= 2e-3
    assert np.linalg.norm(answer - expected) < 3 * run.report.error * np.linalg.norm(expected)
    launched = [i for i in range(8, 16) if run.report.chunks[i].state != "spare"]
    assert 1 < len(launched) < 8


def fails_on(block, j):
    if np.array_equal(block, BLOCKS[j]):
        raise OSError("no such file")
    return wide(block)


def test_a_backup_takes_the_place_of_a_chunk_that_fails(cluster):
    with dask.config.set({"bacc.backup.minimum": 5}):
        run = dask_bacc.encode(X, k=8, n=12).map(fails_on, 4, launch="backup", rtol=np.inf)
    assert relative_error(run.result(timeout=60)) < 3 * run.report.error
    assert list(run.report.erred) == [4]


def test_a_hung_worker_gets_no_backup(cluster, hang, gate):
    pids = cluster.run(os.getpid)
    coded = dask_bacc.encode(X, k=8, n=16)
    run = coded.map(held, gate.name, range(8), launch="backup", rtol=np.inf)
    wait_until(lambda: sum(c.started is not None for c in run.report.chunks) == len(pids))
    first = next(i for i, c in enumerate(run.report.chunks) if c.started is not None)
    victim = run.report.chunks[first].worker
    hang(pids[victim])
    gate.set()
    answer = run.result(timeout=60)
    assert first in run.report.missing
    assert all(chunk.worker != victim for chunk in run.report.chunks[8:])
    assert relative_error(answer) < 3 * run.report.error


def test_workers_that_still_run_cancelled_chunks_get_no_new_ones(cluster, gate):
    coded = dask_bacc.encode(X, k=8, n=16)
    # All others must be through, or it might end before these two have begun.
    first = coded.map(held, gate.name, {1, 6}, rtol=np.inf, enough=14)
    first.result(timeout=60)
    # Others may have been about to return when they were cancelled.
    wait_until(lambda: {chunk for _, chunk, _ in still_running(cluster)} <= {1, 6})
    wait_until(lambda: monitor_of(cluster).available(patient=True))
    busy = set(still_running(cluster).values())
    assert set(first.report.still_running.values()) <= busy
    for _ in range(3):
        again = coded.map(held, gate.name, (), rtol=np.inf, enough=16)
        again.result(timeout=60)
        assert not busy & {chunk.worker for chunk in again.report.chunks}
    gate.set()
    wait_until(lambda: not still_running(cluster))
    assert first.report.still_running == {}
    wait_until(lambda: monitor_of(cluster).available() == [])


def test_blocks_do_not_wait_for_each_other_where_workers_are_kept_off(cluster, gate_file):
    """Two of them lie on the same worker, after a third one is stuck with what it has."""
    workers = sorted(cluster.scheduler_info()["workers"])
    coded = dask_bacc.encode(X[:24], k=4, n=6)
    with dask.annotate(workers=lambda key: [workers[key[1] % 6]]):
        coded = coded.persist()
    wait(coded)
    first = coded.map(waits, gate_file, rtol=np.inf, enough=5, copies=False)
    first.result(timeout=60)
    # The others may be through before its worker has said that it began.
    wait_until(lambda: still_running(cluster))
    (stuck,) = {worker for worker, *_ in still_running(cluster).values()}
    cluster.replicate(futures_of(coded), workers=[w for w in workers if w != stuck][:1], n=2)
    wait_until(lambda: monitor_of(cluster).available(patient=True))
    again = coded.map(held_until, gate_file, rtol=0, copies=False)
    wait_until(lambda: all(again.report.chunks[block].started for block in range(4)))
    gate_file.touch()
    np.testing.assert_array_equal(again.result(timeout=60), wide(X[:24]))


def held_until(block, path, large=None):
    """All blocks have to begin before any can end."""
    while not path.exists():
        time.sleep(0.01)
    return wide(block)


def one_chunk_on_each(cluster):
    workers = sorted(cluster.scheduler_info()["workers"])
    with dask.annotate(workers=lambda key: [workers[key[1] % 6]]):
        coded = dask_bacc.encode(X[:24], k=4, n=6).persist()
    wait(coded)
    return coded


def test_large_arguments_draw_no_chunk_to_where_they_are(cluster, gate_file, configure):
    """A chunk's data is quicker to send than they are, and would have to wait there."""
    # On a busy machine heartbeats are late.
    configure({"bacc.timing.unresponsive-after": 60.0})
    coded = one_chunk_on_each(cluster)
    cluster.sync(monitor_of(cluster).refresh, cluster)
    run = coded.map(held_until, gate_file, np.zeros(100_000), rtol=np.inf, enough=6, copies=False)
    seen = []

    def all_have_a_worker():
        seen.append([len(keys) for keys in cluster.processing().values()])
        return sum(seen[-1]) == 6

    wait_until(all_have_a_worker)
    gate_file.touch()
    run.result(timeout=60)
    # Later on, idle workers steal.
    assert seen[-1] == [1] * 6


def test_workers_of_functions_that_ask_are_counted_on(cluster):
    """What is cancelled there ends long before any chunk would, though it is overdue."""
    coded, kept_off = one_chunk_on_each(cluster), []
    # On a busy machine it may be some time until anybody looks.
    while len(kept_off) < 6 and [] not in kept_off[1:]:
        coded.map(asks, rtol=np.inf, enough=5, copies=False).result(timeout=60)
        kept_off.append(monitor_of(cluster).available(patient=True))
        wait_until(lambda: not still_running(cluster))
    assert [] in kept_off[1:]


def asks(block):
    """Two blocks take longer than others, and one of them until nobody wants it."""
    number = next((j for j, known in enumerate(BLOCKS) if np.array_equal(block, known)), None)
    time.sleep(0.5 if number == 1 else 0.2)
    while number == 3 and not dask_bacc.should_stop():
        time.sleep(0.01)
    return wide(block)


def test_a_function_that_asks_stops_when_it_is_cancelled(cluster):
    run = dask_bacc.encode(X, k=8, n=16).map(obedient, {1, 6}, rtol=np.inf)
    run.result(timeout=60)
    assert 1 in run.report.missing
    wait_until(lambda: not still_running(cluster))
    assert run.report.still_running == {}


def test_a_worker_that_is_stuck_is_restarted_on_request(cluster, gate):
    before = set(cluster.scheduler_info()["workers"])
    run = dask_bacc.encode(X, k=8, n=16).map(
        held, gate.name, {3}, rtol=np.inf, enough=15, cancel="restart"
    )
    wait_until(lambda: run.report.chunks[3].worker)
    stuck = run.report.chunks[3].worker
    run.result(timeout=60)

    def replaced():
        now = set(cluster.scheduler_info()["workers"])
        return stuck not in now and len(now) == len(before)

    wait_until(replaced, timeout=60)
    assert relative_error(dask_bacc.encode(X, k=8, n=12).map(wide).result(timeout=60)) < 0.1


def test_a_worker_without_a_nanny_is_not_restarted(start, gate_file, caplog):
    nodes = start()
    nodes.add(1, "--no-nanny")
    nodes.add(1, "--no-nanny")
    with nodes.client() as client, caplog.at_level(logging.WARNING, logger="dask_bacc"):
        before = set(client.scheduler_info()["workers"])
        run = dask_bacc.encode(X, k=8, n=10).map(
            waits, gate_file, rtol=np.inf, cancel="restart", client=client
        )
        run.result(timeout=60)
        wait_until(lambda: "has no nanny" in caplog.text)
        assert set(client.scheduler_info()["workers"]) == before
        gate_file.touch()
        again = dask_bacc.encode(X, k=8, n=10).map(wide, rtol=0, client=client)
        np.testing.assert_array_equal(again.result(timeout=60), wide(X))


def waits(block, path):
    """One block's own chunk waits for a file."""
    while np.array_equal(block, BLOCKS[3]) and not path.exists():
        time.sleep(0.01)
    return wide(block)


def test_an_unresponsive_worker_is_known_after_some_rounds(cluster, hang):
    pids = cluster.run(os.getpid)
    coded = dask_bacc.encode(X, k=8, n=16).persist()
    coded.map(wide, rtol=np.inf, enough=16).result(timeout=60)
    victim = next(iter(pids))
    hang(pids[victim])

    def suspected():
        coded.map(wide, rtol=np.inf).result(timeout=60)
        return victim in monitor_of(cluster).unavailable

    wait_until(suspected, timeout=60)
    assert victim not in monitor_of(cluster).available()


def test_chunks_stay_on_the_workers_that_the_user_names(cluster, monkeypatch):
    """Whoever else is available, and whoever launches them."""
    first, second, *others = sorted(cluster.scheduler_info()["workers"])
    monkeypatch.setattr(Monitor, "available", lambda *_, **__: others)
    with dask.annotate(workers=[first, second]):
        run = dask_bacc.encode(X, k=8, n=12).map(fails_on, 4, launch="backup", rtol=np.inf)
    run.result(timeout=60)
    assert any(chunk.backup is not None for chunk in run.report.chunks)
    assert {chunk.worker for chunk in run.report.chunks if chunk.worker} <= {first, second}


@pytest.mark.parametrize("code", ["berrut", "repetition", "systematic"])
def test_workers_are_kept_off_whatever_the_code(cluster, monkeypatch, configure, code):
    """Chunks may all be mixtures, or several of them a block, and some lie on who is kept off."""
    # On a busy machine heartbeats are late.
    configure({"bacc.timing.unresponsive-after": 60.0})
    coded = dask_bacc.encode(X, k=8, n=16, code=code).persist()
    wait(coded)
    kept_off, *others = sorted(cluster.scheduler_info()["workers"])
    monkeypatch.setattr(Monitor, "available", lambda *_, **__: others)
    # Copies go to whoever is idle, as who is kept off for real never seems.
    run = coded.map(wide, rtol=np.inf, enough=16, copies=False)
    run.result(timeout=60)
    assert kept_off not in {chunk.worker for chunk in run.report.chunks}


def takes_a_while(block):
    time.sleep(0.2)
    return wide(block)


def test_chunks_that_ask_for_resources_are_not_sent_where_there_are_none(start, configure):
    """However idle those workers are."""
    configure({"bacc.timing.probe-every": 0.05, "bacc.timing.unresponsive-after": 0.05})
    nodes = start(2)
    nodes.add(1, "--resources", "GPU=1")
    with nodes.client() as client:
        with dask.annotate(resources={"GPU": 1}):
            run = dask_bacc.encode(X, k=8, n=12).map(
                takes_a_while, enough=12, deadline=20, client=client
            )
        np.testing.assert_array_equal(run.result(timeout=60), wide(X))
        assert run.report.stopped != "deadline"
        assert len({run.report.chunks[chunk].worker for chunk in run.report.returned}) == 1
