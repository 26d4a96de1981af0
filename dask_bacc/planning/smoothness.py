"""What a function's results at some chunks tell of the error with any others."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cache

import numpy as np

from dask_bacc.coding import Code, get_decoder, recovered_blocks
from dask_bacc.coding.decoders.base import Outlook
from dask_bacc.results.solved import Solved


@dataclass(frozen=True, eq=False)
class Smoothness:
    """How well blocks are known from others, up to the first group of a code.

    Blocks of other groups are taken to be alike.
    """

    #: of every leaf of the results, its variances and the factor that makes them squared errors
    leaves: tuple[tuple[Outlook, float], ...]
    #: error of blocks that have no more behind it than that results are alike
    alike: float

    @classmethod
    def of(cls, code: Code, solved: Solved) -> Smoothness | None:
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
        return cls(tuple(leaves), solved.estimate.alike)

    def error_with(self, code: Code) -> Callable[[Collection[int]], float]:
        """The error that results of some chunks of a code leave, in units of the results' RMS.

        Parameters
        ----------
        code : Code
            Over the same blocks, in the same groups.
        """
        group = code.groups[0]
        decoder = get_decoder(None, code)
        leaves = [(outlook.of(group.code.generator), factor) for outlook, factor in self.leaves]

        @cache
        def known(chunks: frozenset[int]) -> float:
            local = np.array(sorted(chunks), dtype=np.intp) - group.chunks.start
            local = local[(local >= 0) & (local < group.code.n)]
            if not len(local) or not recovered_blocks(group.code, local, decoder).all():
                return float("inf")
            variance = np.zeros(group.code.k)
            for outlook, factor in leaves:
                variance = np.maximum(variance, factor * outlook.variance(local))
            own = group.code.own_blocks[local]
            variance[own[own >= 0]] = 0.0
            left = float(np.sqrt(np.mean(variance)))
            return max(left, self.alike) if left > 0 else 0.0

        # Simulated runs end with few different sets of chunks.
        return lambda chunks: known(frozenset(chunks))
