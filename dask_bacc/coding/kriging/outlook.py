"""What further results would leave unknown: it needs their points, and not the results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import lapack

from dask_bacc.coding._typing import FloatArray, IndexArray
from dask_bacc.coding.kriging.cholesky import factorised
from dask_bacc.coding.kriging.explained import Explained
from dask_bacc.coding.kriging.fitted import widening
from dask_bacc.coding.kriging.kernels import Geometry


@dataclass(frozen=True, eq=False)
class Outlook:
    """Variances that results at more points would leave, by what was fitted to those at hand.

    References
    ----------
    Rasmussen and Williams, "Gaussian Processes for Machine Learning" (2006), eq. 2.26: the
    variance of a Gaussian process does not depend on the values observed.
    """

    #: of the families that have a share, with it
    parts: Sequence[tuple[float, Explained]]
    #: ``(n, k)`` coefficients of all chunks
    generator: FloatArray
    #: of the blocks and then the chunks
    geometry: Geometry

    def variance(self, chunks: IndexArray) -> FloatArray:
        """``(k,)`` variances of the blocks, given results of these chunks; means over outputs."""
        k = self.generator.shape[1]
        # Copies of a chunk say nothing more.
        _, first = np.unique(self.generator[chunks], axis=0, return_index=True)
        blocks, points = np.arange(k), k + np.asarray(chunks)[np.sort(first)]
        among, cross = self.geometry.among(points), self.geometry.between(blocks, points)
        there = self.geometry.among(blocks)
        variance = np.zeros(k)
        for share, part in self.parts:
            factor = factorised(part.fit.results_covariance(among))
            half, _ = lapack.dtrtrs(factor, part.fit.covariance(cross).T, lower=1)
            left = np.diag(part.fit.covariance(there)) - np.einsum("ij,ij->j", half, half)
            variance += share * part.scale * np.maximum(left, 0.0)
        return widening(len(points), k) * variance
