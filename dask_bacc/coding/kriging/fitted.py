"""What results tell of the blocks: estimates, and how far off they may be."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from dask_bacc.coding._typing import FloatArray, IndexArray
from dask_bacc.coding.kriging.alike import unforeseen_variance
from dask_bacc.coding.kriging.conditioned import Conditioned
from dask_bacc.coding.kriging.ensemble import Ensemble, credible_families, fit_ensemble
from dask_bacc.coding.kriging.kernels import Family, Geometry
from dask_bacc.coding.kriging.observations import Observations
from dask_bacc.coding.kriging.outliers import find_outliers

#: Any three results look like a quadratic function's, and an estimate from them is sure of it.
FEWEST = 4
#: By how much variances are widened with no more results than blocks, over the square and the
#: fourth power of their number: nothing but the prior then tells curved functions from linear
#: ones.
WIDENING, STEEPER = 30.0, 600.0
#: What is not known of a block may lie all in the direction in which results differ most: its
#: result is then at least by this times the unknown share of their variance from any estimate.
UNKNOWN = 2.0
#: Times the largest other result, above which one that looks corrupted may as well be honest: of a
#: skewed function, one result may be nearly all.
LARGER = 1.5


@dataclass(frozen=True)
class Fitted:
    """Covariances that are fitted to results, merged where they are at the same point."""

    #: of the blocks and then the returned chunks
    geometry: Geometry
    #: blocks of the code
    k: int
    #: the results as they came, and the matrix that merges them
    returned: Observations
    merging: FloatArray
    #: those that were considered
    families: tuple[Family, ...]
    ensemble: Ensemble

    @classmethod
    def to(
        cls,
        geometry: Geometry,
        k: int,
        results_gram: FloatArray,
        outputs: int,
        previous: Ensemble | None,
        values: FloatArray | None = None,
    ) -> Fitted:
        """Fitted to all results, perhaps from what was fitted to fewer of them.

        Parameters
        ----------
        geometry : Geometry
            Of `k` blocks and then the `m` returned chunks.
        k : int
        results_gram : (m, m) ndarray
            Inner products of the results.
        outputs : int
            Numbers in a result.
        previous : Ensemble, optional
        values : (m, s) ndarray, optional
            Some numbers of each result.
        """
        chunks = np.arange(k, len(geometry.inner))
        returned = Observations(geometry.among(chunks), results_gram, outputs, values)
        return cls._to(geometry, k, returned, returned.merging(), previous)

    @classmethod
    def _to(
        cls,
        geometry: Geometry,
        k: int,
        returned: Observations,
        merging: FloatArray,
        previous: Ensemble | None,
    ) -> Fitted:
        observations = returned.merged(merging)
        families = _families(geometry, _points(merging, k), k)
        ensemble = fit_ensemble(observations.among(observations.telling), families, previous)
        return cls(geometry, k, returned, merging, families, ensemble)

    def without_noise(self) -> Fitted:
        """Fitted to the same results as exact ones."""
        return replace(self, ensemble=fit_ensemble(self.learnt, self.families, noise=False))

    def without(self, aside: IndexArray) -> Fitted:
        """Fitted to the results at all other points."""
        merging = np.delete(self.merging, aside, axis=0)
        return self._to(self.geometry, self.k, self.returned, merging, None)

    @cached_property
    def observations(self) -> Observations:
        """One result for each point."""
        return self.returned.merged(self.merging)

    @cached_property
    def learnt(self) -> Observations:
        """Those of them that the ensemble is fitted to."""
        return self.observations.among(self.observations.telling)

    @cached_property
    def scatter(self) -> float:
        """Mean square of what differs between results at the same point."""
        return self.returned.scatter(self.merging)

    @cached_property
    def conditioned(self) -> Conditioned:
        """The ensemble, given these."""
        return Conditioned.on(self.ensemble, self.observations)

    @cached_property
    def points(self) -> IndexArray:
        """Positions of those points."""
        return _points(self.merging, self.k)

    def outliers(self, most: int, *, trusting: bool) -> IndexArray:
        """Points whose results look corrupted, at most so many; see `find_outliers`."""
        found = find_outliers(self.learnt, self.ensemble, most, self.families, trusting=trusting)
        outliers: IndexArray = self.observations.telling[found]
        return outliers

    def may_be_skewed(self, aside: IndexArray) -> bool:
        """Whether one of these results is so large that it may be all that the function is."""
        squares = np.diag(self.observations.gram)
        return bool(squares[aside].max() > LARGER**2 * np.delete(squares, aside).max())

    def left_out(self) -> FloatArray:
        """Squared error of each point's result as the others predict it, sum over outputs."""
        return self.conditioned.left_out()

    def mean_square(self, weights: FloatArray) -> FloatArray:
        """Of sums of the results, one for every row of weights, over outputs."""
        squares = np.einsum("ij,jk,ik->i", weights, self.returned.gram, weights)
        mean: FloatArray = np.maximum(squares / self.returned.outputs, 0.0)
        return mean

    def unforeseen_variance(self, square: float) -> float:
        """What results that are alike say of a further one; see `alike.unforeseen_variance`.

        Parameters
        ----------
        square : float
            Mean square of all numbers of all results.
        """
        observations = self.observations
        if observations.values is None:
            return 0.0
        left_out = self.conditioned.contrasts() @ observations.values
        return unforeseen_variance(observations.values, left_out, square)

    def weights(self, positions: IndexArray) -> FloatArray:
        """Of the results, for what they tell of some points."""
        return self._predict(positions)[0]

    def _predict(
        self, positions: IndexArray, blur: FloatArray | None = None
    ) -> tuple[FloatArray, FloatArray]:
        weights, variance = self.conditioned.predict(
            self.geometry.between(positions, self.points),
            self.geometry.among(positions),
            blur,
        )
        return weights @ self.merging, variance

    def estimates(self, unknown: FloatArray, blur: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Weights and variances for the blocks.

        Parameters
        ----------
        unknown : (k,) ndarray
            Shares of the blocks that are not known.
        blur : (k,) ndarray
            Squared distances by which they may be elsewhere.
        """
        blocks, observations = np.arange(self.k), self.observations
        apart = ~self.geometry.between(blocks, self.points).coincident.any(axis=1)
        weights, variance = self._predict(blocks, blur * apart)
        variance = widening(observations.count, self.k) * variance
        if self.learnt.distinct < min(self.k, FEWEST):
            # They say no more of other points than how large results may be.
            far = ~observations.close(self.geometry.between(blocks, self.points)).any(axis=1)
            largest = np.diag(observations.gram).max() / observations.outputs
            variance = np.where(far, np.maximum(variance, largest), variance)
        if unknown.any() and observations.count > 1:
            # A covariance learns how curved a function is from results that are close together,
            # and has little to say of blocks that may be anywhere.
            spread = observations.spread / observations.outputs
            spread *= observations.count / (observations.count - 1)
            variance = np.maximum(variance, np.minimum(UNKNOWN * unknown, 1) * spread)
        return weights, variance


def widening(count: int, k: int) -> float:
    """Times which the variance is larger that so many results leave of `k` blocks."""
    return 1 + WIDENING / count**2 + STEEPER / count**4 if count <= k else 1.0


def _points(merging: FloatArray, k: int) -> IndexArray:
    """Positions of the points that are left when results are merged."""
    points: IndexArray = k + np.argmax(merging > 0, axis=1)
    return points


def _families(geometry: Geometry, returned: IndexArray, k: int) -> tuple[Family, ...]:
    """The families to consider, blocks that are among the returned points left out."""
    near = geometry.between(np.arange(k), returned)
    unknown = np.flatnonzero(~near.coincident.any(axis=1))
    order = np.concatenate([returned, unknown])
    return credible_families(geometry.among(order), np.arange(len(returned)))
