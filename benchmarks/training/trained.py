"""A training by a policy or without, on workers that take their time."""

from __future__ import annotations

import argparse
import logging
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import dask
import numpy as np
import torch
from distributed import Client, LocalCluster

from benchmarks.processes.forked import QUIET, fork_workers
from benchmarks.training.checked import Checked
from benchmarks.training.jobs import JOBS, Job, Rows, arranged
from benchmarks.training.laws import WORKERS, Delayed, first_of
from benchmarks.training.plain import trained_plainly
from dask_bacc.learn import POLICIES, CodedTrainer
from dask_bacc.learn.predict import outputs_of, score_of

K, N = 8, 12
#: Rounds between looks at the accuracy.
EVERY = 4
#: Seconds and scores.
Curve = list[tuple[float, float]]


class ReachedError(Exception):
    """The accuracy that was aimed at."""


def trained(
    policy: str, law: str, blocks: str, seed: int, args: argparse.Namespace, client: Client
) -> tuple[CodedTrainer, Curve, Checked | None]:
    """The trainer, and seconds and scores on the way."""
    job, k = JOBS[args.job], blocks_of(policy)
    (x, y), test = rows_of(job, blocks, k, seed, args.rows)
    found = trainer_of(policy, law, seed, args, client)
    checked = Checked(found, x, y, k, job.criterion) if args.check else None
    curve: Curve = []

    def look(turn: int) -> None:
        if checked is not None:
            checked.look(turn)
        if turn % EVERY == 0:
            seconds = float(np.sum(found.training_.ledger.numbers["seconds"]))
            curve.append((seconds, found.score(*test)))
            if curve[-1][1] >= aim_of(args):
                raise ReachedError

    found.on_round = look
    with suppress(ReachedError):
        found.fit(x, y)
    return found, curve, checked


def trainer_of(
    policy: str, law: str, seed: int, args: argparse.Namespace, client: Client
) -> CodedTrainer:
    """That has not begun."""
    job = JOBS[args.job]
    torch.manual_seed(seed)
    return CodedTrainer(
        Delayed(job.module(), law, args.shortest),
        criterion=job.criterion,
        lr=job.lr,
        optimizer_params={"momentum": 0.9},
        policy=policy,
        k=K,
        n=N,
        batches=args.batches,
        max_epochs=args.epochs,
        shuffle=False,
        seed=first_of(seed),
        client=client,
    )


def blocks_of(policy: str) -> int:
    """How many a policy has."""
    return K if policy == "advised" or POLICIES[policy].redundant else N


def rows_of(job: Job, blocks: str, k: int, seed: int, count: int) -> tuple[Rows, Rows]:
    """So many rows to train, block by block, and all to test."""
    (x, y), test = job.data()
    order = arranged(y[:count], blocks, k, seed)
    x, y = x[:count][order], y[:count][order]
    if blocks != "mixed":
        # Minibatches are slices of every block; within a block rows are mixed.
        inside = np.random.default_rng(seed)
        size = count // k
        order = np.concatenate([j * size + inside.permutation(size) for j in range(k)])
        x, y = x[order], y[order]
    return (x, y), test


def plainly(
    law: str, blocks: str, seed: int, args: argparse.Namespace, client: Client
) -> tuple[Curve, list[float]]:
    """Seconds and scores on the way, and seconds of every round, without coding."""
    job = JOBS[args.job]
    rows, (x, y) = rows_of(job, blocks, N, seed, args.rows)
    torch.manual_seed(seed)
    module = job.module()
    curve: Curve = []

    def look(taken: list[float]) -> bool:
        if len(taken) % EVERY:
            return False
        outputs = outputs_of(module, x)
        classes = y.ndim == 1
        found = outputs.argmax(axis=1) if classes else outputs
        curve.append((sum(taken), score_of(found, y, classes=classes)))
        return curve[-1][1] >= aim_of(args)

    shape = N, args.batches, args.epochs
    delayed = Delayed(module, law, args.shortest)
    first = first_of(seed)
    return curve, trained_plainly(delayed, job.criterion, rows, shape, job.lr, first, look, client)


def aim_of(args: argparse.Namespace) -> float:
    """Score at which training ends."""
    return float(JOBS[args.job].aim if args.aim is None else args.aim)


@contextmanager
def cluster(law: str, *, quiet: bool = False) -> Iterator[Client]:
    dask.config.set(QUIET if quiet else {})
    fork_workers("torch.nn", "dask_bacc.learn")
    with (
        LocalCluster(
            n_workers=WORKERS,
            threads_per_worker=1,
            dashboard_address=None,
            silence_logs=logging.CRITICAL,
        ) as workers,
        Client(workers) as client,
    ):
        client.wait_for_workers(WORKERS)
        client.run(_import)
        pid = sorted(client.run(os.getpid).items())[0][1]
        if law == "hung":
            os.kill(pid, signal.SIGSTOP)
        elif law == "killed":
            os.kill(pid, signal.SIGKILL)
        try:
            yield client
        finally:
            # Its nanny may have put another worker in its place.
            with suppress(ProcessLookupError):
                if law == "hung":
                    os.kill(pid, signal.SIGCONT)


def _import() -> None:
    import torch.nn  # noqa: F401

    import dask_bacc.learn  # noqa: F401
