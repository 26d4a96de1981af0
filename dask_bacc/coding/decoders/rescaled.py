"""Leaving out what is missing: lost blocks are taken for what the others are in the mean."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dask_bacc.coding.codes import Code
from dask_bacc.coding.decoders.base import Decoder, Evidence, Solution


@dataclass(frozen=True)
class Rescaled(Decoder):
    """Lost blocks are the mean of those that returned; says nothing of the error.

    Sums are then those of what has come, rescaled. With `chances` they are weighed by how likely
    each block was to return, and so are right in the mean over rounds (Horvitz and Thompson,
    "A generalization of sampling without replacement from a finite universe", JASA 47, 1952).

    Examples
    --------
    >>> from dask_bacc import coding
    >>> decoded = coding.decode(coding.Uncoded(3, 3), {0: [1.0], 2: [3.0]}, Rescaled())
    >>> decoded.blocks[:, 0]
    array([1., 2., 3.])
    """

    #: of each block to return; None for all alike
    chances: tuple[float, ...] | None = None

    @property
    def name(self) -> str:
        """The name by which users ask for it."""
        return "rescaled"

    def check(self, code: Code) -> None:
        """Refuse a code with mixtures."""
        if (code.own_blocks < 0).any():
            raise ValueError(
                f"decoder 'rescaled' leaves out what is missing, and {code} mixes blocks; use "
                "code='uncoded' or 'repetition'"
            )
        if self.chances is not None and len(self.chances) != code.k:
            raise ValueError(f"chances must be those of k={code.k} blocks, got {self.chances}")

    def solve(self, evidence: Evidence) -> Solution:
        """Weights for the returned set."""
        code = evidence.code
        own = code.own_blocks[evidence.chunks]
        blocks, first = np.unique(own, return_index=True)
        weights = np.zeros((code.k, len(evidence.chunks)))
        missing = code.k - len(blocks)
        if self.chances is None:
            weights[:, first] = 1 / len(blocks)
        elif missing:
            chances = np.array(self.chances)[blocks]
            weights[:, first] = (1 / chances - 1) / missing
        return Solution(weights)
