"""A training that loses a worker, and then its client, beside the same one undisturbed."""

from __future__ import annotations

import argparse
import os
import signal
import tempfile
from pathlib import Path

import numpy as np
from distributed import Client

from benchmarks.training.jobs import JOBS
from benchmarks.training.laws import WORKERS
from benchmarks.training.trained import blocks_of, cluster, rows_of, trainer_of

#: A round in the first half of a training.
LOST_AT = 5


def resumed(args: argparse.Namespace) -> None:
    """For every law and policy what both come to in the end, seed by seed."""
    for law in args.laws:
        for policy in args.policies:
            print(f"\n{args.job}, {law}, {policy}: score in the end, undisturbed and resumed")
            pairs = []
            with cluster(law) as client, tempfile.TemporaryDirectory() as folder:
                for seed in args.seeds:
                    found = trained_twice(policy, law, seed, args, client, Path(folder))
                    print(f"seed {seed}: {found[0]:.3f} {found[1]:.3f}", flush=True)
                    pairs.append(found)
            scores = np.array(pairs)
            differ = scores[:, 1] - scores[:, 0]
            print(
                f"seeds' scatter {np.std(scores[:, 0]):.3f}; resumed less undisturbed "
                f"{differ.mean():+.3f} in the mean, {np.abs(differ).max():.3f} at most"
            )


def trained_twice(
    policy: str, law: str, seed: int, args: argparse.Namespace, client: Client, folder: Path
) -> tuple[float, float]:
    """Scores in the end: of the whole, and of one whose worker is killed and whose client goes."""
    (x, y), test = rows_of(JOBS[args.job], "mixed", blocks_of(policy), seed, args.rows)
    undisturbed = trainer_of(policy, law, seed, args, client).fit(x, y).score(*test)
    pid, half = sorted(client.run(os.getpid).items())[-1][1], args.epochs // 2

    def lose(turn: int) -> None:
        if turn == LOST_AT:
            os.kill(pid, signal.SIGKILL)

    assert client.scheduler is not None
    with Client(client.scheduler.address, set_as_default=False) as first:
        found = trainer_of(policy, law, seed, args, first)
        found.on_round = lose
        found.partial_fit(x, y, epochs=half).save(folder / "state.pt")
    with Client(client.scheduler.address, set_as_default=False) as second:
        again = trainer_of(policy, law, seed, args, second).load(folder / "state.pt")
        score = again.partial_fit(x, y, epochs=args.epochs - half).score(*test)
    # A nanny starts the worker again.
    client.wait_for_workers(WORKERS)
    return undisturbed, score
