"""Workers that are killed, leave, or take leave of their memory."""

from __future__ import annotations

import itertools
import os
import signal
import time

import dask
import dask.array as da
import numpy as np
import pytest
from distributed import KilledWorker, futures_of, get_worker

import dask_bacc
from benchmarks.chaos.leaks import Baseline, keys_on_scheduler
from benchmarks.processes.cluster import pids, send, until
from dask_bacc.graphs.map import RunGraph
from tests.faults.work import (
    DEADLINE,
    K,
    N,
    X,
    check,
    encoded,
    held,
    source,
    wait_for_start,
    wait_for_trouble,
    wide,
)


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
        wait_for_trouble(run, victim, "is gone")
        assert f"{victim} is gone" in str(run.report)
        del run


def deadly(block, chunk):
    if get_worker().get_current_task()[1] == chunk:
        os.kill(os.getpid(), signal.SIGKILL)
    return wide(block)


def greedy(block, chunk):
    if get_worker().get_current_task()[1] == chunk:
        hoard = []
        while len(hoard) < 800:
            hoard.append(np.ones(2**17))  # 1 MiB
        time.sleep(60)  # until it is killed
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


def pieces(client):
    """The blocks on one worker after another, of which nobody knows how they were made."""
    addresses = list(pids(client))
    return [
        client.scatter(block, workers=[addresses[j % len(addresses)]], hash=False)
        for j, block in enumerate(np.split(X, K))
    ]


def scattered(client):
    """The data of these pieces."""
    return da.concatenate([da.from_delayed(b, (6, 3), dtype=float) for b in pieces(client)])


def loaded(client):
    """The same, with each piece an argument of a call that makes the block."""
    made = map(dask.delayed(np.positive), pieces(client))
    return da.concatenate([da.from_delayed(block, (6, 3), dtype=float) for block in made])


def kill(client, victim):
    send(pids(client)[victim], signal.SIGKILL)
    until(lambda: victim not in pids(client), 10, "the worker is still there")


def lose(client, victim, count):
    """Kill the worker, with the only copies of that many futures."""
    kill(client, victim)
    until(
        lambda: sum(s.status == "cancelled" for s in client.futures.values()) == count,
        10,
        "the client does not know what is lost",
    )


def test_scattered_blocks_are_lost_with_their_worker(start, gate):
    """They cannot be made again: the run ends with an answer from the rest, or one clear error."""
    with start(4).client() as client:
        baseline = Baseline.of(client)
        addresses = list(pids(client))
        array = scattered(client)
        kept = keys_on_scheduler(client)
        run = encoded(array).map(
            held, gate, enough=N, rtol=np.inf, deadline=DEADLINE, client=client
        )
        wait_for_start(run, 4)
        kill(client, addresses[1])
        gate.touch()
        try:
            check(run)
        except dask_bacc.DecodeError:
            assert len(run.report.returned) < N
        assert run.report.seconds < DEADLINE + 1
        # Blocks 1 and 5 were lost, if nobody had fetched them before; no other block's chunk is.
        assert set(run.report.returned) >= {0, 2, 3, 4, 6, 7}
        baseline.check_keys(client, kept)


@pytest.mark.parametrize("make", [scattered, loaded])
def test_a_run_after_blocks_are_lost_has_the_others(start, nothing_left, make):
    with start(4).client() as client, nothing_left(client):
        array = make(client)
        lose(client, list(pids(client))[1], 2)
        run = encoded(array).map(wide, enough=6, rtol=np.inf, deadline=DEADLINE, client=client)
        report = check(run)
        assert sorted(report.returned) == [0, 2, 3, 4, 6, 7]
        del run, array


def decided_there(client, **options):
    """A run over scattered blocks that has each one's result, on their workers."""
    with dask.config.set({"bacc.gather-limit": "100 B"}):
        run = encoded(scattered(client)).map(wide, enough=K, rtol=0, client=client, **options)
    until(lambda: run.status == "finished", 20, "the run did not end")
    assert run.report.stopped == "every block returned"
    return run


def test_results_that_are_lost_before_they_are_fetched_are_missed(start, patient):
    """What was complete is not any more; how many are left depends on who was the fastest."""
    with start(4).client() as client:
        run = decided_there(client)
        kill(client, run.report.chunks[1].worker)
        try:
            report = check(run)
        except dask_bacc.DecodeError:
            report = run.report
            assert len(report.returned) < K
        assert (report.error == 0) == (set(report.returned) >= set(range(K)))
        assert report.stopped != "every block returned" or report.error == 0


def test_results_that_are_out_of_reach_are_given_up_after_a_while(start, hang, configure):
    """The worker hangs when the run has ended: nobody else can make what it holds."""
    configure({"bacc.timing.unresponsive-after": 1.0})
    with start(4).client() as client:
        run = decided_there(client, deadline=8.0)
        hang(pids(client)[run.report.chunks[1].worker])
        report = check(run)
        assert 1 in report.missing
        assert report.stopped == "deadline"


@pytest.mark.parametrize("launch", ["eager", "backup"])
@pytest.mark.parametrize("known", [True, False], ids=["known", "not yet known"])
def test_chunks_that_cannot_be_made_again_count_as_missing(
    start, nothing_left, monkeypatch, launch, known
):
    """The scheduler refuses all of a graph that names one of them."""
    with start(4).client() as client, nothing_left(client):
        data = client.persist(encoded(scattered(client)))
        until(lambda: all(s.status == "finished" for s in client.futures.values()), 20, "no data")
        victim = list(pids(client))[1]
        held_by = client.who_has(futures_of(data))
        lost = {i for i in range(N) if set(held_by[data.parts[0].name, i]) == {victim}}
        lose(client, victim, len(lost))
        if not known:
            # As when the scheduler's message comes while the run is on its way.
            asked, honest = itertools.count(), RunGraph.lost
            monkeypatch.setattr(
                RunGraph, "lost", lambda *known: honest(*known) if next(asked) else set()
            )
        run = data.map(wide, enough=K, rtol=0, launch=launch, deadline=DEADLINE, client=client)
        report = check(run)
        assert lost
        assert lost & set(range(K)) <= set(report.missing)
        assert lost.isdisjoint(report.returned)
        assert report.stopped == "all chunks ended"
        assert len(report.returned) == N - len(lost)
        del run, data, report
