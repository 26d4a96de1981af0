"""What is fitted to: results at points, as two small matrices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dask_bacc.coding._typing import BoolArray, FloatArray, IndexArray
from dask_bacc.coding.kriging.kernels import Geometry

#: Share of sums of squares below which differences of them are rounding.
ROUNDING = 1e-13
#: Share of the mean square below which blocks, results and distances are next to nothing.
QUIET = 1e-2


@dataclass(frozen=True)
class Observations:
    """Results of a function at points.

    Examples
    --------
    >>> Observations(Geometry.of(np.eye(3), np.eye(3)), np.eye(3), outputs=7).among([0, 2]).count
    2
    """

    #: of the points
    geometry: Geometry
    #: ``(m, m)`` inner products of the results, in any unit
    gram: FloatArray
    #: numbers in a result
    outputs: int
    #: ``(m, s)`` some numbers of each result as they are, in the unit of `gram`; None if not known
    values: FloatArray | None = None

    @property
    def count(self) -> int:
        """Number of results."""
        return len(self.gram)

    @property
    def telling(self) -> IndexArray:
        """Points from which something can be learnt of a function.

        Many functions are zero at zero. No covariance but the linear one foresees it, and the
        likelihood would give up all others for that one result, or for some that are nearly zero.
        """
        sizes, values = self.geometry.left_size, np.diag(self.gram)
        nothing = (sizes <= QUIET * sizes.mean()) & (values <= QUIET * values.mean())
        return np.flatnonzero(~nothing)

    @property
    def distinct(self) -> int:
        """Number of points, those counted as one that are close together beside the others."""
        return len(np.unique(np.argmax(self.close(self.geometry), axis=1)))

    def close(self, geometry: Geometry) -> BoolArray:
        """``(a, b)`` whether points are close together beside how far apart these ones are."""
        distance = geometry.squared_distance
        close: BoolArray = distance <= QUIET * self.geometry.squared_distance.mean()
        return close

    @property
    def spread(self) -> float:
        """Mean square difference of results from their mean, sum over outputs."""
        return float(np.mean(np.diag(self.gram)) - np.mean(self.gram))

    def among(self, points: IndexArray) -> Observations:
        """Some of the results."""
        square = np.ix_(points, points)
        values = None if self.values is None else self.values[points]
        return Observations(self.geometry.among(points), self.gram[square], self.outputs, values)

    def merging(self) -> FloatArray:
        """Matrix that takes the mean of results at the same point, one row for each point."""
        close = self.geometry.coincident
        _, which, count = np.unique(
            np.argmax(close, axis=1), return_inverse=True, return_counts=True
        )
        matrix = np.zeros((len(count), len(which)))
        matrix[which, np.arange(len(which))] = 1.0 / count[which]
        return matrix

    def scatter(self, merging: FloatArray) -> float:
        """Mean square by which results at the same point differ from their mean, per output.

        Widened by how few there are to tell; 0 for what rounding leaves.
        """
        used = merging.any(axis=0)
        free = int(used.sum()) - len(merging)
        squares = float(np.diag(self.gram)[used].sum())
        means = np.einsum("ij,jk,ik->i", merging, self.gram, merging)
        apart = squares - float(means @ (1 / merging.max(axis=1)))
        if not free or apart <= ROUNDING * squares:
            return 0.0
        count = free * self.outputs
        return (1 + 2 / count) * apart / count

    def merged(self, merging: FloatArray) -> Observations:
        """One result for each point."""
        points = np.argmax(merging > 0, axis=1)
        values = None if self.values is None else merging @ self.values
        return Observations(
            self.geometry.among(points), merging @ self.gram @ merging.T, self.outputs, values
        )
