"""Decoded gradients held against those of all rows."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch

from dask_bacc.learn import CodedTrainer
from dask_bacc.learn.model import flat_weights, set_flat, trained

Array = np.ndarray


@dataclass
class Checked:
    """What a trainer's gradients are, and how far off.

    Parameters
    ----------
    trainer : CodedTrainer
    x, y : ndarrays
        Rows to train, in the trainer's order, and what is wanted of them.
    k : int
        Number of blocks.
    criterion : Module
    """

    trainer: CodedTrainer
    x: Array
    y: Array
    k: int
    criterion: torch.nn.Module
    #: actual errors, over those that were estimated
    ratios: list[float] = field(default_factory=list)
    errors: list[float] = field(default_factory=list)
    cosines: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._weights = flat_weights(self.trainer.module)

    def look(self, turn: int) -> None:
        """Hold the gradient of the round against that of all rows."""
        module, numbers = self.trainer.module_, self.trainer.training_.ledger.numbers
        decoded = flat_of(module) / numbers["step"][-1]
        after = flat_weights(module)
        set_flat(module, self._weights)
        known = self._gradient((turn - 1) % self.trainer.batches)
        set_flat(module, after)
        self._weights = after
        error = float(np.linalg.norm(decoded - known) / np.linalg.norm(decoded))
        self.errors.append(error)
        self.cosines.append(
            float(decoded @ known / np.linalg.norm(decoded) / np.linalg.norm(known))
        )
        estimated = numbers["gradient_error"][-1]
        if estimated > 0:
            self.ratios.append(error / estimated)

    def _gradient(self, batch: int) -> Array:
        rows = len(self.x) // (self.k * self.trainer.batches)
        whole = rows * self.trainer.batches
        chosen = np.concatenate(
            [np.arange(rows) + block * whole + batch * rows for block in range(self.k)]
        )
        module = self.trainer.module_
        kept = [p.grad for p in trained(module)]
        module.zero_grad(set_to_none=True)
        x, y = (torch.from_numpy(array[chosen]) for array in (self.x, self.y))
        self.criterion(module(x), y).backward()
        found = flat_of(module)
        for parameter, gradient in zip(trained(module), kept, strict=True):
            parameter.grad = gradient
        return found

    def __str__(self) -> str:
        ratios = np.array(self.ratios)
        bars = "no bars"
        if len(ratios):
            within = ((ratios > 0.5) & (ratios < 2)).mean()
            bars = (
                f"error over bar {np.median(ratios):.2f}, within 2 in {within:.0%}, "
                f"at most twice {(ratios < 2).mean():.0%}, above 3 in {(ratios > 3).mean():.1%} "
                f"of {len(ratios)}"
            )
        return (
            f"gradients off by {np.median(self.errors):.2g}, cosine {np.median(self.cosines):.3f} "
            f"(least {np.min(self.cosines):.3f}); {bars}"
        )


def flat_of(module: torch.nn.Module) -> Array:
    """The gradients of all parameters."""
    return np.concatenate([p.grad.numpy().ravel() for p in trained(module)])
