"""The demo: three jobs on real worker processes, one stopped and one slowed, beside plain Dask."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask.array as da
import matplotlib as mpl
import numpy as np
from dask.delayed import delayed
from distributed import Client, Future
from matplotlib import pyplot as plt
from rich.console import Console
from rich.table import Table

import dask_bacc
from dask_bacc.demo.digits import Job, K, jobs_of, load_digits
from dask_bacc.demo.jobs import Floats
from dask_bacc.demo.outcome import Outcome, said
from dask_bacc.demo.picture import draw
from dask_bacc.demo.trouble import in_trouble
from dask_bacc.demo.workers import WORKERS, check_signals, demo_client


def run_demo(output: Path, patience: float) -> tuple[Outcome, ...]:
    """Run the demo, print its table, write its picture.

    Parameters
    ----------
    output : Path
        Where the picture is written.
    patience : float
        Seconds after which an answer is no longer waited for.

    Raises
    ------
    RuntimeError
        Where processes cannot be stopped (no ``SIGSTOP``).
    """
    check_signals()
    console = Console()
    console.print(f"Loading 5,000 digits, starting {WORKERS} worker processes ...")
    images = load_digits()
    jobs = jobs_of(images)
    with demo_client() as client:
        stopped, slowed, *_ = sorted(client.run(os.getpid).values())
        # Workers import what they need before any clock starts.
        for job in jobs:
            client.run(job.func, images[:1])
        outcomes = []
        for job in jobs:
            console.print(f"{job.kind}: {job.name} ...")
            outcomes.append(_outcome(client, job, images, stopped, slowed, patience))
    console.print(_table(outcomes, patience))
    with mpl.rc_context({"backend": "agg"}):
        figure, ax = plt.subplots(figsize=(8, 3.6), layout="constrained")
        draw(ax, outcomes, patience)
        figure.savefig(output, dpi=130)
    console.print(f"Picture: {output}")
    return tuple(outcomes)


def _outcome(
    client: Client, job: Job, images: Floats, stopped: int, slowed: int, patience: float
) -> Outcome:
    """A job by a coded run and by ``map_blocks``, in the same trouble."""
    truth = np.concatenate([job.func(block) for block in np.split(images, K)])
    coded = dask_bacc.encode(images, k=K, n=job.n)
    run = coded.map(job.func, rtol=job.rtol)
    _poll(lambda: any(chunk.worker for chunk in run.report.chunks), patience)
    answer: Any = None
    with in_trouble([stopped], [slowed]):
        try:
            answer = run.result(timeout=patience)
        except TimeoutError:
            run.cancel()
    _settle(client)
    plain, blocks = _plain(client, job, images, stopped, slowed, patience)
    _settle(client)
    report = run.report
    error = np.inf if answer is None else np.linalg.norm(answer - truth) / np.linalg.norm(truth)
    seconds = None if answer is None else report.seconds
    return Outcome(job, seconds, plain, blocks, float(error), report.error or 0.0)


def _plain(
    client: Client, job: Job, images: Floats, stopped: int, slowed: int, patience: float
) -> tuple[float | None, int]:
    """Seconds of ``map_blocks``, None if it has no answer, and the blocks that it has."""
    # One block on every worker before the clock starts; the coded run ships its own.
    parts = np.split(images, K)
    held = client.scatter(parts)
    blocks = da.concatenate(
        [
            da.from_delayed(delayed(future), part.shape, part.dtype)
            for future, part in zip(held, parts, strict=True)
        ]
    )
    start = time.perf_counter()
    mapped = blocks.map_blocks(job.func, dtype=float, meta=np.empty((0, 0)))
    futures: list[Future[Any]] = client.compute(list(mapped.to_delayed().ravel()))
    _poll(lambda: all(client.processing().values()), 1.0)
    with in_trouble([stopped], [slowed]):
        _poll(lambda: all(f.done() for f in futures), patience - (time.perf_counter() - start))
        done = sum(future.done() for future in futures)
        seconds = time.perf_counter() - start
        client.cancel(futures)
    return (seconds if done == K else None), done


def _settle(client: Client) -> None:
    """Wait until workers are through with what was cancelled, so that all begin alike."""
    client.gather(client.map(abs, range(4 * WORKERS), pure=False))


def _poll(condition: Callable[[], bool], patience: float) -> None:
    end = time.perf_counter() + patience
    while not condition() and time.perf_counter() < end:
        time.sleep(0.01)


def _table(outcomes: list[Outcome], patience: float) -> Table:
    table = Table(title=f"One of {WORKERS} workers stopped, one slowed to a tenth")
    for column in ("job", "function", "dask_bacc", "error", "estimated", "map_blocks"):
        table.add_column(column, justify="left" if column in ("job", "function") else "right")
    for outcome in outcomes:
        table.add_row(
            outcome.job.name,
            outcome.job.kind,
            f"none in {patience:g} s" if outcome.coded is None else f"{outcome.coded:.1f} s",
            said(outcome.error),
            said(outcome.estimate),
            f"{outcome.plain:.1f} s"
            if outcome.plain is not None
            else f"{outcome.blocks} of {K} blocks in {patience:g} s",
        )
    return table
