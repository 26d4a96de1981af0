"""Real worker processes that hang and die in the middle of a run."""

from __future__ import annotations

import os
import signal
import uuid

import dask.array as da
import numpy as np
from distributed import Event

import dask_bacc
from tests.shared import wait_until

#: Varies smoothly from block to block, so that Berrut's decoder does well.
X = np.sin(np.arange(48)[:, None] / 30 + np.arange(3))


def gated(block, gate):
    Event(gate).wait()
    return np.tanh(block)


def pids(client):
    return client.run(os.getpid)


def relative_error(answer):
    truth = np.tanh(X)
    return np.linalg.norm(answer - truth) / np.linalg.norm(truth)


def start_gated(client, **options):
    """A run whose first chunks have all started and wait at a gate."""
    gate = Event(f"gate-{uuid.uuid4()}", client=client)
    workers = pids(client)
    run = dask_bacc.encode(X, k=8, n=24).map(gated, gate.name, **options)
    wait_until(lambda: len({c.worker for c in run.report.chunks if c.worker}) == len(workers))
    return run, gate, workers


def test_workers_that_hang_while_they_work(cluster, hang):
    run, gate, workers = start_gated(cluster, enough=14)
    hung = list(workers)[:2]
    for address in hung:
        hang(workers[address])
    gate.set()
    answer = run.result(timeout=60)
    report = run.report
    lost = [i for i, chunk in enumerate(report.chunks) if chunk.worker in hung]
    assert lost
    assert set(lost) <= set(report.missing)
    assert relative_error(answer) < 0.1
    for chunk in report.returned:
        if chunk < 8:
            rows = slice(6 * chunk, 6 * chunk + 6)
            np.testing.assert_array_equal(answer[rows], np.tanh(X[rows]))


def test_a_worker_that_hangs_with_results_it_has_finished(cluster, hang):
    """Its results are out of reach; those of the others must not wait for them."""
    run, gate, workers = start_gated(cluster, enough=12)
    hang(workers[next(iter(workers))])
    gate.set()
    assert np.isfinite(run.result(timeout=60)).all()
    assert len(run.report.returned) >= 12


def test_a_killed_workers_chunks_run_elsewhere(cluster):
    run, gate, workers = start_gated(cluster, enough=24)
    os.kill(workers[next(iter(workers))], signal.SIGKILL)
    gate.set()
    np.testing.assert_array_equal(run.result(timeout=60), np.tanh(X))


def test_map_blocks_waits_where_a_coded_run_answers(cluster, hang):
    """What the project is for: the same fault, plain dask beside it."""
    gate = Event(f"gate-{uuid.uuid4()}", client=cluster)
    workers = pids(cluster)
    blocks = da.from_array(X, chunks=(6, 3))
    plain = cluster.compute(blocks.map_blocks(gated, gate.name, dtype=float, meta=X[:0]))
    run = dask_bacc.encode(X, k=8, n=24).map(gated, gate.name)
    wait_until(lambda: len(cluster.processing()) == 6 and all(cluster.processing().values()))
    hang(workers[next(iter(workers))])
    gate.set()
    run.result(timeout=60)
    assert plain.status == "pending"
    plain.cancel()
