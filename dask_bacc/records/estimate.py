"""How far off the answer of a run may be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dask_bacc.coding._typing import FloatArray


@dataclass(frozen=True, eq=False)
class ErrorEstimate:
    """How far off an answer may be, in units of the RMS value of the results.

    Examples
    --------
    >>> ErrorEstimate(0.2, np.array([0.0, 0.28])).error
    0.2
    >>> ErrorEstimate(np.nan, np.array([0.0, np.nan])).error is None
    True
    """

    #: RMS error of the whole answer, or if blocks are added up the most that the error of the sum
    #: may be, or by the model of rounds its RMS, over the RMS value of the sum; NaN if it is not
    #: estimated
    overall: float
    #: ``(k,)`` RMS error of every block, members of a leaf weighed by their sizes, the worst over
    #: leaves; 0, inf and NaN as in `DecodingMatrix`
    by_block: FloatArray
    #: covariances that explain the results best
    kernels: tuple[str, ...] = ()
    #: RMS noise of the results; 0 if the function is not found to be noisy
    noise: float = 0.0
    #: chunks whose results look corrupted, ascending; put aside if suspects are to be replaced
    suspects: tuple[int, ...] = ()
    #: error of the answer of every leaf of the results, with where its members are in them
    by_leaf: tuple[tuple[str, float], ...] = ()
    #: error of the blocks that have no more behind it than that results are alike
    alike: float = 0.0
    #: blocks that were decoded from results of earlier rounds, too, with how many rounds before
    #: this one their own came; None for never
    remembered: tuple[tuple[int, int | None], ...] = ()

    @property
    def error(self) -> float | None:
        """Error of the whole answer; None if it is not estimated or some block is lost."""
        return self.overall if np.isfinite(self.by_block).all() else None

    @property
    def block_error(self) -> tuple[float, ...] | None:
        """Error of every block, or None likewise."""
        return None if self.error is None else tuple(self.by_block.tolist())
