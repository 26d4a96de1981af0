"""How long workers take in a round, and modules that take it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from distributed import get_worker
from torch import nn

from benchmarks.tail.systems import pause

WORKERS = 12
#: Number of the first round, by which its delays are drawn.
SEED = 1_000_000
#: Rounds of a training at most: each has delays of its own.
SPAN = 10_000
SLOW, SLOWER = (0, 1), 5.0
Array = np.ndarray


def first_of(seed: int) -> int:
    """Number of a training's first round."""
    return SEED + SPAN * seed


def natural(rng: np.random.Generator, count: int) -> Array:
    """A trace's law: the slowest of 256 at 1.8 times the median, rare ones at 13 to 23 times."""
    usual = np.exp(rng.normal(0.0, 0.21, count))
    rare = rng.random(count) < 1 / 500
    return np.where(rare, rng.uniform(13, 23, count), usual)


def alike(_: np.random.Generator, count: int) -> Array:
    return np.ones(count)


def two_slow(_: np.random.Generator, count: int) -> Array:
    return np.where(np.isin(np.arange(count), SLOW), SLOWER, 1.0)


#: Times of so many workers, over the shortest.
LAWS: dict[str, Callable[[np.random.Generator, int], Array]] = {
    "none": alike,
    "natural": natural,
    "exponential": lambda rng, count: 1 + rng.exponential(1.0, count),
    "pareto": lambda rng, count: 1 + rng.pareto(1.5, count),
    "slow": two_slow,
    "hung": alike,
    "killed": alike,
}


class Delayed(nn.Module):
    """A module whose worker takes its time, by a law, in every round.

    Parameters
    ----------
    module : Module
    law : str
    shortest : float
        Seconds.
    """

    def __init__(self, module: nn.Module, law: str, shortest: float) -> None:
        super().__init__()
        self.module = module
        self.law, self.shortest = law, shortest

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """What the module gives, later."""
        # Elsewhere nobody has asked for a round.
        if (turn := torch.initial_seed() - SEED) in range(SEED) and self.training:
            drawn = LAWS[self.law](np.random.default_rng(turn), WORKERS)
            pause(self.shortest * float(drawn[int(get_worker().name) % WORKERS]))
        return self.module(x)
