"""What a round adds without stragglers."""

from __future__ import annotations

import time

import numpy as np
from distributed import Client, LocalCluster
from torch import nn

from benchmarks.training.jobs import JOBS
from benchmarks.training.plain import summed
from dask_bacc.learn import CodedTrainer
from dask_bacc.learn.data import one_hot
from dask_bacc.learn.model import Model, flat_weights, summed_gradient

Array = np.ndarray


def cost(rounds: int = 20, rows: int = 200, workers: int = 8) -> None:
    """A round without stragglers, beside ``client.map`` and a tree of sums."""
    x, y = (array[: rows * workers] for array in JOBS["clothes"].data()[0])
    module = JOBS["clothes"].module()
    model, weights = Model.of(module, nn.CrossEntropyLoss(), 0), flat_weights(module)
    with (
        LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None) as there,
        Client(there) as client,
    ):
        parts = client.scatter(np.split(x, workers))
        wanted = client.scatter(np.split(one_hot(y, 10), workers))

        def theirs(turn: int) -> Array:
            given = [weights] * workers, [model] * workers, [str(turn)] * workers
            return summed(client, client.map(summed_gradient, parts, wanted, *given, pure=False))

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
