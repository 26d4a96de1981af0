"""How the results of a run decode, and how well."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from dask_bacc.coding import Code, DecodingMatrix, copying_matrix
from dask_bacc.coding.threads import one_thread
from dask_bacc.records.estimate import ErrorEstimate
from dask_bacc.results.memory import Past


@dataclass(frozen=True, eq=False)
class Solved:
    """How the results decode, leaf by leaf, and how well."""

    #: number of results that were looked at
    count: int
    #: chunks that were used, ascending
    chunks: list[int]
    #: one for every leaf of the results
    matrices: list[DecodingMatrix]
    #: how well
    estimate: ErrorEstimate
    #: RMS values of the leaves
    units: tuple[float, ...] = ()
    #: whether it depends on the results alone and not on the order of their arrival
    thorough: bool = False
    #: results of earlier rounds, whose weights come after those of the chunks
    earlier: tuple[Past, ...] = ()

    @classmethod
    def of_own(cls, code: Code, chunks: Sequence[int], leaves: int) -> Solved:
        """Blocks' own results as they stand, which tell nothing of the blocks that are lost.

        Parameters
        ----------
        code : Code
        chunks : sequence of int
            That returned, each with a block's own result.
        leaves : int
            Number of leaves of the results.
        """
        matrix = copying_matrix(code, chunks)
        estimate = ErrorEstimate(matrix.rms_error, matrix.error)
        return cls(len(chunks), sorted(chunks), [matrix] * leaves, estimate, (1.0,) * leaves)

    @property
    def by_rows(self) -> bool:
        """Whether some answers are made row by row."""
        return any(matrix.rows for matrix in self.matrices)

    def foreseen(self, code: Code, more: Collection[int]) -> float:
        """The error of the answer as it is likely to be once more chunks have returned.

        Parameters
        ----------
        code : Code
        more : collection of int
        """
        # Many small products, on the event loop: BLAS threads would wait for each other.
        with one_thread():
            return self._foreseen(code, more)

    def _foreseen(self, code: Code, more: Collection[int]) -> float:
        now, estimate = self.estimate.by_block, self.estimate
        shares = np.zeros(code.k)
        for matrix in self.matrices:
            then = matrix.foreseen(code, self.chunks, more)
            with np.errstate(invalid="ignore", divide="ignore"):
                shares = np.maximum(shares, np.where(then > 0, then / matrix.error, 0.0))
        with np.errstate(invalid="ignore"):
            then = np.where(shares > 0, shares * now, 0.0)
        left = float(np.sqrt(np.mean(then**2)))
        if math.isfinite(estimate.overall) and left > 0:
            # That of a sum of blocks has another unit.
            left *= estimate.overall / float(np.sqrt(np.mean(now**2)))
        return max(left, estimate.alike) if left > 0 else 0.0

    def extended(self, code: Code, chunks: Sequence[int], count: int) -> Solved:
        """The same with the own results of blocks that have come since, and no other news.

        Parameters
        ----------
        code : Code
        chunks : sequence of int
            That are in now, ascending; those that were used are among them.
        count : int
            Number of results that have been looked at now.
        """
        if list(chunks) == self.chunks:
            return replace(self, count=count)
        before = self.estimate
        own = code.own_blocks[list(chunks)]
        place = np.searchsorted(chunks, self.chunks)
        count_all = len(chunks) + len(self.earlier)
        place = np.concatenate([place, np.arange(len(chunks), count_all)])
        come = {int(own[i]): i for i in np.flatnonzero(own >= 0)[::-1]}
        fresh = np.array([j for j in sorted(come) if before.by_block[j] > 0], dtype=np.intp)
        matrices = [_extended(matrix, count_all, place, fresh, come) for matrix in self.matrices]
        error = before.by_block.copy()
        error[fresh] = before.noise
        overall = float(np.sqrt(np.mean(error**2)))
        by_leaf = tuple(
            (name, matrix.rms_error / unit)
            for (name, _), matrix, unit in zip(before.by_leaf, matrices, self.units, strict=False)
        )
        estimate = replace(before, by_block=error, overall=overall, by_leaf=by_leaf)
        return replace(
            self, count=count, chunks=list(chunks), matrices=matrices, estimate=estimate
        )


def _extended(
    matrix: DecodingMatrix,
    count: int,
    place: np.ndarray[tuple[int], np.dtype[np.intp]],
    fresh: np.ndarray[tuple[int], np.dtype[np.intp]],
    come: dict[int, int],
) -> DecodingMatrix:
    weights = np.zeros((len(matrix.weights), count))
    weights[:, place] = matrix.weights
    weights[fresh] = 0.0
    weights[fresh, [come[j] for j in fresh.tolist()]] = 1.0
    error = matrix.error.copy()
    error[fresh] = matrix.noise
    everywhere = np.arange(len(weights))
    rows = tuple(
        kept.moved(everywhere, place)
        for part in matrix.rows
        if len((kept := part.without(fresh)).blocks)
    )
    return replace(matrix, weights=weights, error=error, rows=rows)
