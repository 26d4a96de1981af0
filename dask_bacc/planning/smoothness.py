"""What a function's results at some chunks tell of the error with any others."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np

from dask_bacc.coding import Code, get_decoder, recovered_blocks
from dask_bacc.coding.decoders.base import Outlook
from dask_bacc.results.solved import Solved


class Foreseen(NamedTuple):
    """How far off an answer will be, in units of the results' RMS."""

    #: what a run will estimate, by which it stops
    bar: float
    #: what is likely
    error: float


#: Of results of some chunks.
Foresight = Callable[[Collection[int]], Foreseen]


def bars_of(foresight: Foresight | None) -> Callable[[Collection[int]], float] | None:
    """What runs will estimate, by which they stop; None where nothing is foreseen."""
    return None if foresight is None else lambda chunks: foresight(chunks).bar


@dataclass(frozen=True, eq=False)
class Smoothness:
    """How well blocks are known from others, up to the first group of a code.

    Blocks of other groups are taken to be alike.
    """

    #: of every leaf of the results, its variances and the factor that makes them squared errors
    leaves: tuple[tuple[Outlook, float], ...]
    #: error of blocks that have no more behind it than that results are alike
    alike: float
    #: errors over bars where that was seen, by the number of results that answers are made of
    shares: Mapping[int, float]

    @classmethod
    def of(cls, code: Code, solved: Solved, shares: Mapping[int, float]) -> Smoothness | None:
        """What was fitted to the chunks that were tried; None if nothing was.

        The estimate has more in it than the covariance: it is held against what the covariance
        says of the blocks that were not tried.
        """
        group = code.groups[0]
        tried = np.array(solved.chunks, dtype=np.intp)
        leaves = []
        for matrix, unit in zip(solved.matrices, solved.units, strict=True):
            if not matrix.outlooks:
                return None
            outlook = matrix.outlooks[0].outlook
            known = np.square(matrix.error[group.blocks])
            said = outlook.variance(tried - group.chunks.start)
            open_blocks = (known > 0) & (said > 0)
            factor = 0.0
            if open_blocks.any():
                factor = float(known[open_blocks].sum() / said[open_blocks].sum()) / unit**2
            leaves.append((outlook, factor))
        return cls(tuple(leaves), solved.estimate.alike, shares)

    def error_with(self, code: Code) -> Foresight:
        """The error that results of some chunks of a code leave.

        Parameters
        ----------
        code : Code
            Over the same blocks, in the same groups.
        """
        group = code.groups[0]
        decoder = get_decoder(None, code)
        leaves = [(outlook.of(group.code.generator), factor) for outlook, factor in self.leaves]

        @cache
        def known(chunks: frozenset[int]) -> Foreseen:
            local = np.array(sorted(chunks), dtype=np.intp) - group.chunks.start
            local = local[(local >= 0) & (local < group.code.n)]
            if not len(local) or not recovered_blocks(group.code, local, decoder).all():
                return Foreseen(math.inf, math.inf)
            variance = np.zeros(group.code.k)
            for outlook, factor in leaves:
                variance = np.maximum(variance, factor * outlook.variance(local))
            own = group.code.own_blocks[local]
            variance[own[own >= 0]] = 0.0
            left = float(np.sqrt(np.mean(variance)))
            bar = max(left, self.alike) if left > 0 else 0.0
            return Foreseen(bar, bar * self._share(len(local)))

        # Simulated runs end with few different sets of chunks.
        return lambda chunks: known(frozenset(chunks))

    def _share(self, count: int) -> float:
        """What errors are over bars with so many results; of more than that nobody knows."""
        seen = [known for known in self.shares if known >= count]
        return self.shares[min(seen)] if seen else 1.0
