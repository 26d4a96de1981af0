"""What further results would leave unknown: it needs their points, and not the results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.linalg import lapack

from dask_bacc.coding._typing import FloatArray, IndexArray
from dask_bacc.coding.kriging.cholesky import factorised
from dask_bacc.coding.kriging.explained import Explained
from dask_bacc.coding.kriging.fitted import widening
from dask_bacc.coding.kriging.kernels import Geometry


@dataclass(frozen=True, eq=False)
class Space:
    """Where blocks and chunks are, as combinations of points whose inner products are known."""

    #: ``(k, d)`` coefficients of the blocks
    blocks: FloatArray
    #: ``(n, d)`` coefficients of the chunks
    chunks: FloatArray
    #: ``(d, d)`` inner products, and the same before anything was taken off the points
    gram: FloatArray
    before: FloatArray | None = None
    #: square of the unit
    unit: float = 1.0

    def geometry(self, chunks: IndexArray) -> Geometry:
        """Of the blocks and then of these chunks."""
        points = np.vstack([self.blocks, self.chunks[chunks]])
        return Geometry.of(points, self.gram, self.before)


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
    space: Space

    def of(self, generator: FloatArray) -> Outlook:
        """The same for the chunks of another code over the same blocks, whose gram is known."""
        return replace(self, space=replace(self.space, chunks=generator))

    @cached_property
    def _first_alike(self) -> IndexArray:
        """For every chunk the first that is the same."""
        _, first, place = np.unique(
            self.space.chunks, axis=0, return_index=True, return_inverse=True
        )
        return first[place.ravel()]

    @cached_property
    def _covariances(self) -> list[FloatArray]:
        """``(k + n, k + n)`` of every part: those of any chunks are in them."""
        geometry = self.space.geometry(np.arange(len(self.space.chunks)))
        return [part.fit.covariance(geometry) for _, part in self.parts]

    def variance(self, chunks: IndexArray) -> FloatArray:
        """``(k,)`` variances of the blocks, given results of these chunks; means over outputs."""
        k = len(self.space.blocks)
        # Copies of a chunk say nothing more.
        points = k + np.unique(self._first_alike[chunks])
        variance = np.zeros(k)
        for (share, part), covariance in zip(self.parts, self._covariances, strict=True):
            factor = factorised(part.fit.of_results(covariance[np.ix_(points, points)]))
            half, _ = lapack.dtrtrs(factor, covariance[points, :k], lower=1)
            left = np.diag(covariance)[:k] - np.einsum("ij,ij->j", half, half)
            variance += share * part.scale * np.maximum(left, 0.0)
        return widening(len(points), k) * variance
