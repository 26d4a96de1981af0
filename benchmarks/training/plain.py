"""The same training by what Dask itself has: futures, and a tree of sums."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from distributed import Client, Future, wait
from torch import nn

from dask_bacc.learn.data import one_hot
from dask_bacc.learn.model import (
    Model,
    flat_weights,
    set_gradient,
    summed_gradient,
)

Array = np.ndarray


def trained_plainly(
    module: nn.Module,
    criterion: nn.Module,
    rows: tuple[Array, Array],
    shape: tuple[int, int, int],
    lr: float,
    seed: int,
    look: Callable[[list[float]], bool],
    client: Client,
) -> list[float]:
    """Seconds of rounds that wait for the gradients of all blocks, until one look is enough.

    Parameters
    ----------
    module, criterion : Module
    rows : pair of ndarray
        Block by block, with what is wanted of them.
    shape : triple of int
        Blocks, minibatches, and epochs.
    lr, seed : float, int
        As a trainer's.
    look : callable
        Sees the seconds of rounds after each, and says whether it is enough.
    client : Client
    """
    blocks, batches, epochs = shape
    x, y = rows
    size = len(x) // (blocks * batches)
    wanted = y.reshape(len(y), -1) if y.ndim > 1 else one_hot(y, 10)
    cuts = [slice(i * size, (i + 1) * size) for i in range(blocks * batches)]
    # Minibatch by minibatch, a block's slices on the same worker.
    workers = sorted(client.scheduler_info(n_workers=-1)["workers"])
    parts = [
        [
            client.scatter((x[cut], wanted[cut]), workers=[workers[block % len(workers)]])
            for block in range(blocks)
            for cut in [cuts[block * batches + batch]]
        ]
        for batch in range(batches)
    ]
    wait([part for batch in parts for part in batch])
    model = Model.of(module, criterion, seed)
    optimiser = torch.optim.SGD(module.parameters(), lr=lr, momentum=0.9)
    taken: list[float] = []
    for turn in range(epochs * batches):
        begin = time.perf_counter()
        weights = client.scatter(flat_weights(module))
        given = parts[turn % batches]
        gradients = client.map(gradient_of, given, weights=weights, model=model, turn=str(turn))
        total = summed(client, gradients)
        set_gradient(module, total[:-1] / (blocks * size))
        optimiser.step()
        taken.append(time.perf_counter() - begin)
        if look(taken):
            break
    return taken


def summed(client: Client, futures: list[Future]) -> Array:
    """Their sum, pair by pair on the workers."""
    level = futures
    while len(level) > 1:
        odd = level[len(level) & ~1 :]
        pairs = zip(level[: len(level) & ~1 : 2], level[1::2], strict=True)
        level = [client.submit(np.add, *pair) for pair in pairs] + odd
    total: Array = level[0].result()
    return total


def gradient_of(rows: tuple[Array, Array], weights: Array, model: Model, turn: str) -> Array:
    """A block's gradient, with its loss beside it."""
    return summed_gradient(*rows, weights, model, turn)
