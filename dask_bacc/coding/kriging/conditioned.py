"""What an ensemble of fits says of other points, given the results."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import lapack

from dask_bacc.coding._typing import BoolArray, FloatArray
from dask_bacc.coding.kriging.ensemble import Ensemble
from dask_bacc.coding.kriging.explained import Explained
from dask_bacc.coding.kriging.fit import Fit
from dask_bacc.coding.kriging.kernels import Geometry
from dask_bacc.coding.kriging.observations import Observations

#: How many leave-one-out residuals of a single output the common variance weighs when a local one
#: is told from them, and the least share of the common one that a local one is believed to have.
COMMON, LEAST = 20.0, 0.7
#: Times the squared leave-one-out residuals of its neighbours that a point is off that lies
#: outside of all results, and the cosine from which on it does.
PAID, OUTSIDE = 4.0, 0.5
#: Squared length of a step that shows how a covariance changes, over a squared norm.
STEP = 1e-5
TINY = float(np.finfo(float).tiny)


@dataclass(frozen=True, eq=False)
class Conditioned:
    """An ensemble and the results to which it was fitted."""

    ensemble: Ensemble
    observations: Observations
    #: of the families that have a share, with it
    parts: tuple[tuple[float, Explained], ...]

    @classmethod
    def on(cls, ensemble: Ensemble, observations: Observations) -> Conditioned:
        """Condition an ensemble on results at points that differ."""
        parts = [
            (float(share), Explained.by(fit, observations))
            for share, fit in zip(ensemble.shares, ensemble.fits, strict=True)
            if share > 0
        ]
        return cls(ensemble, observations, tuple(parts))

    def predict(
        self, cross: Geometry, there: Geometry, blur: FloatArray | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """Weights of the results for other points, and the variances that are left.

        Parameters
        ----------
        cross : Geometry
            Of the ``a`` other points to those of the results.
        there : Geometry
            Of the other points.
        blur : (a,) ndarray, optional
            Squared distances by which the other points may be elsewhere.

        Returns
        -------
        (a, m) ndarray, (a,) ndarray
            Variances are means over outputs; what families disagree on is part of them. They are
            widened by ``1 + 2 / effective_outputs``, since hyper-parameters that few outputs
            choose are uncertain themselves.
        """
        outputs = self.ensemble.effective_outputs
        among = self.observations.geometry
        least = steepness_outside(cross, there, among)
        known: BoolArray = np.any(cross.coincident, axis=1)
        predictions = [
            _predict(part, cross, there, known, least, outputs) for _, part in self.parts
        ]
        weights = np.zeros(cross.inner.shape)
        for (share, _), (matrix, _) in zip(self.parts, predictions, strict=True):
            weights += share * matrix
        variance = np.zeros(len(weights))
        for (share, part), (matrix, own) in zip(self.parts, predictions, strict=True):
            apart = matrix - weights
            between = np.einsum("ij,ij->i", apart @ self.observations.gram, apart)
            variance += share * (own + np.maximum(between / self.observations.outputs, 0.0))
            if blur is not None and blur.any():
                moved = variance_of_moving(part.fit, there.left, blur)
                variance += share * part.scale * moved
        return weights, (1 + 2 / outputs) * variance

    def contrasts(self) -> FloatArray:
        """``(m, m)`` weights of the results in the error of each as the others predict it.

        References
        ----------
        Rasmussen and Williams, "Gaussian Processes for Machine Learning" (2006), eq. 5.12.
        """
        contrasts: FloatArray = np.zeros_like(self.observations.gram)
        for share, part in self.parts:
            contrasts += share * part.inverse / np.diag(part.inverse)[:, None]
        return contrasts

    def left_out(self) -> FloatArray:
        """Squared error of each result as the others predict it, sum over outputs."""
        contrasts = self.contrasts()
        squared = np.einsum("ij,ij->i", contrasts @ self.observations.gram, contrasts)
        left_out: FloatArray = np.maximum(squared, 0.0)
        return left_out

    def noise_variance(self) -> float:
        """Variance of what differs between results at the same point; 0 without noise."""
        geometry = self.observations.geometry
        if not all(part.fit.noisy for _, part in self.parts):
            return 0.0
        return sum(share * part.fit.nugget(geometry) * part.scale for share, part in self.parts)


def _predict(
    part: Explained,
    cross: Geometry,
    there: Geometry,
    known: BoolArray,
    least: FloatArray,
    outputs: float,
) -> tuple[FloatArray, FloatArray]:
    """Weights of one family's fit and its variance for every point.

    Parameters
    ----------
    part, cross, there, outputs
        As in `Conditioned.predict`.
    known : (a,) ndarray of bool
        Where a result is.
    least : (a, m) ndarray
        As `steepness_outside` gives it.
    """
    covariance = part.fit.covariance(cross)
    solved, _ = lapack.dpotrs(part.factor, covariance.T, lower=1)
    weights: FloatArray = solved.T
    prior = np.diag(part.fit.covariance(there))
    left = prior - np.einsum("ij,ij->i", weights, covariance)
    # Nobody knows more than rounding of the inner products leaves, but where a result is there.
    moved = float(np.mean(there.left_size)) / max(float(np.mean(there.left)), TINY)
    rounding = float(np.finfo(float).eps) * moved
    left = np.where(known, left, np.maximum(left, rounding * prior))
    local = local_variance(weights, part.residuals, outputs)
    local = np.maximum(local, least @ part.residuals)
    return weights, np.maximum(local * part.scale * left, 0.0)


def variance_of_moving(fit: Fit, norms: FloatArray, squared: FloatArray) -> FloatArray:
    """Variance of the function's change along a step in a direction of its own, over its scale.

    Parameters
    ----------
    fit : Fit
    norms, squared : (a,) ndarrays
        Squared norms of the points, and squared lengths of the steps.
    """
    variance = np.zeros(len(norms))
    moving = np.flatnonzero(squared > 0)
    if len(moving):
        before, wanted = norms[moving], squared[moving]
        # Changes of a small step are lost in rounding; they grow with its square.
        step = np.maximum(wanted, STEP * np.mean(before))
        count = len(moving)
        sizes = np.concatenate([before, before + step])
        inner = np.diag(sizes)
        first, second = np.arange(count), np.arange(count, 2 * count)
        inner[first, second] = inner[second, first] = before
        distance = np.maximum(sizes[:, None] + sizes - 2 * inner, 0.0)
        distance[first, second] = distance[second, first] = step
        covariance = fit.covariance(Geometry(inner, distance, sizes, sizes, sizes, sizes))
        change = np.diag(covariance)[:count] + np.diag(covariance)[count:]
        change = change - 2 * covariance[first, second]
        variance[moving] = np.maximum(change, 0.0) * wanted / step
    return variance


def local_variance(
    weights: FloatArray,
    squared: FloatArray,
    outputs: float,
    common: float = COMMON,
    least: float = LEAST,
) -> FloatArray:
    """Variances over the common one, from leave-one-out residuals of the results that count.

    A function may be steep in one place and flat in another. The common variance is then too small
    here and too large there, and how well results predict each other tells where. Few outputs say
    little of that, and leave the common variance.
    """
    shares = np.abs(weights)
    shares /= np.maximum(shares.sum(axis=1, keepdims=True), TINY)
    count = 1 / np.maximum((shares**2).sum(axis=1), TINY)
    weight = common / outputs
    local: FloatArray = (weight + count * (shares @ squared)) / (weight + count)
    return np.maximum(local, least)


def steepness_outside(cross: Geometry, there: Geometry, among: Geometry) -> FloatArray:
    """``(a, m)`` weights of squared leave-one-out residuals in the least variances of points.

    They are those of points outside of all results, over the common variance. Extrapolating is
    interpolating with weights of hundreds, most of them far inside, where results predict each
    other best. What counts is how well they do so next to where they end.

    Parameters
    ----------
    cross, there, among : Geometry
        Of the points to the results, of the points, and of the results.
    """
    distance = cross.squared_distance
    nearest = np.argmin(distance, axis=1)
    # Of the ways to the nearest result and to every other: all one way if the point is outside.
    turned = (
        among.inner[nearest]
        - np.take_along_axis(cross.inner, nearest[:, None], axis=1)
        - cross.inner
        + there.left[:, None]
    )
    lengths = np.sqrt(distance.min(axis=1, keepdims=True) * distance)
    cosine = (turned / np.maximum(lengths, TINY)).min(axis=1)
    outside = np.clip((cosine - OUTSIDE) / (1 - OUTSIDE), 0.0, 1.0)
    closeness = (distance.min(axis=1, keepdims=True) / np.maximum(distance, TINY)) ** 2
    near = closeness / np.maximum(closeness.sum(axis=1, keepdims=True), TINY)
    least: FloatArray = PAID * outside[:, None] * near
    return least
