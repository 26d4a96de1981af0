"""LeNet-5 on Fashion-MNIST over twelve workers, by every policy, with the same drawn delays.

Run with ``python -m benchmarks.training``; images are those of Debian's ``dataset-fashion-mnist``,
or handwritten digits where they are not installed. Seconds are those of rounds: scoring is left
out.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import numpy as np
import torch
from distributed import Client, LocalCluster

from benchmarks.tail.systems import settle
from benchmarks.training.checked import Checked
from benchmarks.training.cost import cost
from benchmarks.training.jobs import JOBS, Job, Rows, arranged
from benchmarks.training.laws import LAWS, SEED, SPAN, WORKERS, Delayed
from benchmarks.training.plain import trained_plainly
from dask_bacc.learn import POLICIES, CodedTrainer
from dask_bacc.learn.predict import outputs_of, score_of

K, N = 8, 12
#: Neither a policy nor a code: Dask's own futures.
PLAIN = "plain"
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
    job = JOBS[args.job]
    k = K if policy == "advised" or POLICIES[policy].redundant else N
    (x, y), test = rows_of(job, blocks, k, seed, args.rows)
    torch.manual_seed(seed)
    found = CodedTrainer(
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
        seed=SEED + SPAN * seed,
        client=client,
    )
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
    first = SEED + SPAN * seed
    return curve, trained_plainly(delayed, job.criterion, rows, shape, job.lr, first, look, client)


def aim_of(args: argparse.Namespace) -> float:
    """Score at which training ends."""
    return float(JOBS[args.job].aim if args.aim is None else args.aim)


@contextmanager
def cluster(law: str) -> Iterator[Client]:
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


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--job", default="clothes", choices=JOBS)
    parser.add_argument("--policies", nargs="+", default=[PLAIN, *POLICIES, "advised"])
    parser.add_argument("--laws", nargs="+", default=["pareto"], choices=LAWS)
    parser.add_argument("--blocks", nargs="+", default=["mixed"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--shortest", type=float, default=0.2, help="seconds of a task")
    parser.add_argument("--rows", type=int, default=24_000)
    parser.add_argument("--batches", type=int, default=24)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--aim", type=float, help="score at which it ends")
    parser.add_argument("--check", action="store_true", help="hold gradients against all rows'")
    parser.add_argument("--cost", action="store_true", help="what a round adds, and no more")
    parser.add_argument("--figure", help="file for a picture of scores over time")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    if args.cost:
        cost()
        return
    for law in args.laws:
        for blocks in args.blocks:
            print(f"\n{args.job}, {law} from {args.shortest} s, {blocks} blocks")
            curves: dict[str, list[Curve]] = {policy: [] for policy in args.policies}
            # One policy after the other: machines are not always as fast.
            for seed in args.seeds:
                for policy, lines in curves.items():
                    lines.append(run(policy, law, blocks, seed, args))
            if args.figure is not None:
                draw(curves, args.figure)


def draw(curves: dict[str, list[Curve]], path: str) -> None:
    """Scores over the seconds of rounds, a colour for each policy."""
    from matplotlib import pyplot as plt

    _, ax = plt.subplots(figsize=(7, 4), layout="constrained")
    for number, (policy, lines) in enumerate(curves.items()):
        for line in lines:
            label = policy if line is lines[0] else None
            ax.plot(*zip(*line, strict=True), color=f"C{number}", label=label)
    ax.set(xlabel="seconds", ylabel="score on rows to test", xlim=0)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False)
    plt.savefig(path, dpi=120)


def run(policy: str, law: str, blocks: str, seed: int, args: argparse.Namespace) -> Curve:
    """Train once, and say what came of it."""
    if policy == PLAIN:
        with cluster(law) as client:
            curve, seconds_of_rounds = plainly(law, blocks, seed, args, client)
        tell(policy, curve, aim_of(args), seconds_of_rounds)
        print()
        return curve
    with cluster(law) as client:
        found, curve, checked = trained(policy, law, blocks, seed, args, client)
        if law != "hung":
            settle(client)
    numbers = found.training_.ledger.numbers
    tell(policy, curve, aim_of(args), numbers["seconds"])
    print(
        f", work {np.mean(numbers['work']):.2f}, gradient said to be off by "
        f"{np.nanmedian(numbers['gradient_error']):.2g} {found.advice_ or ''}",
        flush=True,
    )
    if checked is not None:
        print(f"{'':18} {checked}", flush=True)
    return curve


def tell(policy: str, curve: Curve, aim: float, taken: Sequence[float]) -> None:
    """The beginning of a line."""
    seconds, score = curve[-1]
    print(
        f"{policy:18} {seconds if score >= aim else np.inf:7.1f} s, "
        f"{len(taken)} rounds in {np.sum(taken):.1f} s, "
        f"score {score:.3f}; a round p50 {np.median(taken):.2f}, "
        f"p99 {np.quantile(taken, 0.99):.2f} s",
        end="",
        flush=True,
    )


if __name__ == "__main__":
    main()
