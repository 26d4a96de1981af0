"""What the fault tests compute: 60 outputs for every row, and waits of chosen chunks."""

from __future__ import annotations

import os
import signal
import time
import warnings
from collections.abc import Collection
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
from distributed import get_worker

import dask_bacc
from benchmarks.processes.cluster import until

K, N = 8, 12
#: Rows that vary smoothly, six to a block.
X = np.sin(np.arange(48)[:, None] / 30 + np.arange(3))
WEIGHTS = np.random.default_rng(0).normal(size=(3, 60))
#: For each run: far longer than it takes, far shorter than the tests' own limits.
DEADLINE = 20.0


def wide(block: Any) -> Any:
    """The function itself."""
    return np.tanh(block @ WEIGHTS)


def held(block: Any, gate: Path, chunks: Collection[int] = range(N)) -> Any:
    """The function, but some chunks wait for a file."""
    if get_worker().get_current_task()[1] in chunks:
        while not gate.exists():
            time.sleep(0.005)
    return wide(block)


def stops(block: Any) -> Any:
    """Stops the worker that makes the first block."""
    if (block == X[:6]).all():
        get_worker()  # raises in the client, which must not stop
        os.kill(os.getpid(), signal.SIGSTOP)
    return block


def source() -> da.Array:
    """The data as a dask array that is made on the cluster."""
    return da.from_array(X, chunks=(6, 3)).map_blocks(np.positive)


def encoded(array: Any = X) -> dask_bacc.CodedArray:
    """Chunks of an array."""
    return dask_bacc.encode(array, k=K, n=N)


def check(run: dask_bacc.CodedRun, deadline: float = DEADLINE) -> dask_bacc.RunReport:
    """The run ends by its deadline with an answer within three times its error bar."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of estimates above rtol
        answer = run.result(timeout=deadline + 20)
    report = run.report
    assert report.seconds < deadline + 1
    assert report.error is not None
    truth = wide(X)
    error = np.sqrt(np.mean((answer - truth) ** 2) / np.mean(truth**2))
    assert error <= 3 * max(report.error, 1e-6)
    assert set(report.returned).isdisjoint(report.missing)
    return report


def wait_for_start(run: dask_bacc.CodedRun, workers: int) -> None:
    """Wait until that many workers are at some chunk of the run."""
    until(
        lambda: len({chunk.worker for chunk in run.report.chunks if chunk.worker}) >= workers,
        30,
        "chunks did not start",
    )


def wait_for_trouble(run: dask_bacc.CodedRun, worker: str, what: str) -> None:
    """Wait until the report says what is the matter with a worker."""
    until(
        lambda: run.report.troubles.get(worker) == what,
        30,
        lambda: f"{worker} {what}, and the report says {run.report.troubles}",
    )
