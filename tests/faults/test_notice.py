"""Workers that are told some seconds before they are killed, as spot machines are."""

from __future__ import annotations

import contextlib
import os
import signal
import time

import dask
import numpy as np
import pytest
from distributed import get_worker

import dask_bacc
from benchmarks.processes.cluster import pids, until
from tests.faults.work import DEADLINE, K, N, X, wait_for_start, wide

PRELOAD = "dask_bacc.worker.sigterm"


def counted(x, directory):
    """Says in a file that it was computed."""
    with (directory / str(x)).open("a") as file:
        file.write("computed\n")
    return x * x


@pytest.mark.parametrize("option", ["--preload", "--preload-nanny"])
def test_what_only_the_worker_has_is_handed_on(start, tmp_path, option):
    cluster = start()
    for _ in range(2):
        cluster.add(1, *([] if "nanny" in option else ["--no-nanny"]), option, PRELOAD)
    with cluster.client() as client:
        told, other = client.scheduler_info()["workers"]
        futures = client.map(counted, range(5), directory=tmp_path, workers=[told])
        client.gather(futures)
        by_address = client.run(os.getpid, nanny="nanny" in option)
        process = next(p for p in cluster.processes if p.pid == by_address[told])
        process.send_signal(signal.SIGTERM)
        until(lambda: list(pids(client)) == [other], 20, "the worker did not leave")
        assert process.wait(timeout=20) == 0
        assert client.gather(futures) == [x * x for x in range(5)]
        assert all(path.read_text() == "computed\n" for path in tmp_path.iterdir())


def held_once(block, gate):
    """Who has the first block first waits for a file, and hears nothing."""
    if get_worker().get_current_task()[1] == 0:
        with contextlib.suppress(FileExistsError):
            gate.with_suffix(".begun").touch(exist_ok=False)
            while not gate.exists():
                time.sleep(0.005)
    return wide(block)


@pytest.mark.parametrize("parity", [False, True])
def test_what_runs_on_the_worker_is_late_at_once(start, tmp_path, parity):
    """Long before anything would be late by how long it takes."""
    gate = tmp_path / "gate"
    cluster = start()
    for _ in range(4):
        cluster.add(1, "--no-nanny", "--preload", PRELOAD)
    with (
        cluster.client() as client,
        dask.config.set({"bacc.backup.minimum": 60.0}),
    ):
        coded = dask_bacc.encode(X, k=K, n=N if parity else K, code=None if parity else "uncoded")
        options = {"launch": "backup", "copies": not parity, "rtol": np.inf}
        run = coded.map(held_once, gate, client=client, **options)
        wait_for_start(run, 4)
        until(lambda: len(run.report.returned) == K - 1, DEADLINE, "blocks did not return")
        until(lambda: run.report.chunks[0].worker, DEADLINE, "the first block did not begin")
        told = run.report.chunks[0].worker
        next(p for p in cluster.processes if p.pid == pids(client)[told]).send_signal(
            signal.SIGTERM
        )
        answer = run.result(timeout=DEADLINE)
        report = run.report
        gate.touch()
        assert "leave" in report.troubles[told]
        # If it has left by then, the scheduler runs its chunk elsewhere.
        first = report.chunks[0]
        elsewhere = first.state == "returned" and first.worker != told
        if parity:
            assert elsewhere or any(chunk >= K for chunk in report.returned)
        else:
            np.testing.assert_array_equal(answer, wide(X))
            assert elsewhere
