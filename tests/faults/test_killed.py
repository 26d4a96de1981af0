"""Workers that are killed, leave, or take leave of their memory."""

from __future__ import annotations

import os
import signal

import dask.array as da
import numpy as np
import pytest
from distributed import KilledWorker, get_worker

import dask_bacc
from tests.faults.leaks import Baseline, keys_on_scheduler
from tests.faults.processes import pids, send, until
from tests.faults.work import DEADLINE, N, X, check, encoded, held, source, wait_for_start, wide


@pytest.mark.parametrize("nanny", [True, False], ids=["nanny", "no nanny"])
def test_a_worker_is_killed_at_work(start, gate, nothing_left, nanny):
    nodes = start(3)
    if nanny:
        nodes.add()
    else:
        nodes.add(1, "--no-nanny")
    with nodes.client() as client, nothing_left(client):
        # All chunks are wanted, so those of the victim must have run again.
        run = encoded().map(held, gate, enough=N, rtol=0, deadline=DEADLINE, client=client)
        wait_for_start(run, 4)
        found = pids(client)
        victim = next(chunk.worker for chunk in run.report.chunks if chunk.worker)
        if not nanny:
            hosts = {process.pid for process in nodes.processes}
            victim = next(address for address, pid in found.items() if pid in hosts)
        send(found[victim], signal.SIGKILL)
        until(lambda: victim not in pids(client), 10, "the worker is still there")
        gate.touch()
        assert check(run).error == 0
        assert victim not in {chunk.worker for chunk in run.report.chunks}
        del run


def deadly(block, chunk):
    if get_worker().get_current_task()[1] == chunk:
        os.kill(os.getpid(), signal.SIGKILL)
    return wide(block)


def greedy(block, chunk):
    if get_worker().get_current_task()[1] == chunk:
        hoard = []
        while len(hoard) < 4096:
            hoard.append(np.ones(2**17))  # 1 MiB
    return wide(block)


@pytest.mark.parametrize("launch", ["eager", "backup"])
def test_a_chunk_that_kills_its_workers_counts_as_failed(start, nothing_left, launch):
    with start(3).client() as client, nothing_left(client):
        run = encoded().map(
            deadly, 2, launch=launch, enough=9, rtol=np.inf, deadline=DEADLINE, client=client
        )
        report = check(run)
        assert 2 in report.missing
        for error in report.erred.values():
            assert isinstance(error, KilledWorker)
        del run, report


def test_a_chunk_that_exhausts_memory(start, nothing_left):
    nodes = start()
    nodes.add(3, "--memory-limit", "600MiB")
    with nodes.client() as client, nothing_left(client):
        run = encoded().map(
            greedy, 2, enough=11, rtol=0, deadline=DEADLINE, client=client, cancel="restart"
        )
        report = check(run)
        assert 2 in report.missing
        del run, report


def test_workers_are_scaled_down(cluster, gate):
    baseline = Baseline.of(cluster)
    run = encoded().map(held, gate, enough=N, rtol=0, deadline=DEADLINE)
    wait_for_start(run, 6)
    cluster.cluster.scale(3)
    gate.touch()
    assert check(run).error == 0
    until(lambda: len(pids(cluster)) == 3, 20, "workers did not leave")
    # The scheduler is in this process: its connections are its own affair.
    baseline.check_keys(cluster)


@pytest.mark.parametrize("notice", ["retired", "SIGTERM"])
def test_a_worker_is_preempted_with_notice(start, gate, nothing_left, notice):
    nodes = start(3)
    leaving = nodes.add(1, "--no-nanny")
    with nodes.client() as client, nothing_left(client):
        data = client.persist(encoded(source()))
        run = data.map(held, gate, enough=N, rtol=0, deadline=DEADLINE, client=client)
        wait_for_start(run, 4)
        (victim,) = [a for a, pid in pids(client).items() if pid == leaving.pid]
        if notice == "retired":
            client.retire_workers([victim], close_workers=True)
        else:
            send(leaving.pid, signal.SIGTERM)
        until(lambda: victim not in pids(client), 20, "the worker did not leave")
        gate.touch()
        assert check(run).error == 0
        del run, data


def test_encoded_chunks_are_lost_with_their_worker(start, nothing_left):
    with start(4).client() as client, nothing_left(client):
        data = client.persist(encoded(source()))
        until(lambda: all(s.status == "finished" for s in client.futures.values()), 20, "no data")
        send(next(iter(pids(client).values())), signal.SIGKILL)
        run = data.map(wide, enough=N, rtol=0, deadline=DEADLINE, client=client)
        assert check(run).error == 0
        del run, data


def test_scattered_blocks_are_lost_with_their_worker(start, gate):
    """They cannot be made again: the run ends with an answer from the rest, or one clear error."""
    with start(4).client() as client:
        baseline = Baseline.of(client)
        addresses = list(pids(client))
        blocks = [
            client.scatter(block, workers=[addresses[j % 4]], hash=False)
            for j, block in enumerate(np.split(X, 8))
        ]
        array = da.concatenate([da.from_delayed(b, (6, 3), dtype=float) for b in blocks])
        kept = keys_on_scheduler(client)
        run = encoded(array).map(held, gate, enough=N, rtol=np.inf, deadline=5, client=client)
        wait_for_start(run, 4)
        send(pids(client)[addresses[1]], signal.SIGKILL)
        until(lambda: addresses[1] not in pids(client), 10, "the worker is still there")
        gate.touch()
        try:
            check(run)
        except dask_bacc.DecodeError:
            assert len(run.report.returned) < N
        assert run.report.seconds < 6
        # Nothing is missing where other workers had fetched its blocks before.
        assert len(run.report.returned) + len(run.report.missing) == N
        baseline.check_keys(client, kept)
