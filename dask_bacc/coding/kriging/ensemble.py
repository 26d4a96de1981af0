"""Fits of several families to one set of results, weighed by how well each explains them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve, lapack

from dask_bacc.coding._typing import FloatArray, IndexArray
from dask_bacc.coding.kriging.fit import (
    NOISE_EVIDENCE,
    Fit,
    fit_family,
    fit_noise,
    has_noise,
    is_rough,
    residuals,
)
from dask_bacc.coding.kriging.kernels import AFFINE, FAMILIES, Family, Geometry
from dask_bacc.coding.kriging.observations import Observations

#: Families with less than this share of the posterior are left out.
SMALLEST_SHARE = 1e-3
#: Eigenvalues below this share of the largest are rounding.
RANK_TOLERANCE = 1e-13
#: Families this much less likely than the best, in nats, are not fitted again as results arrive,
#: until their number has grown by this factor.
HOPELESS, GROWTH = 20.0, 1.5
#: How many leave-one-out residuals of a single output the common variance weighs when a local one
#: is told from them, and the least share of the common one that a local one is believed to have.
COMMON, LEAST = 20.0, 0.7
#: Times the squared leave-one-out residuals of its neighbours that a point is off that lies
#: outside of all results, and the cosine from which on it does.
PAID, OUTSIDE = 4.0, 0.5
#: Squared length of a step that shows how a covariance changes, over a squared norm.
STEP = 1e-5
TINY = float(np.finfo(float).tiny)


@dataclass(frozen=True)
class Ensemble:
    """Fits of several families and their shares of the posterior."""

    fits: tuple[Fit, ...]
    #: one for every fit
    shares: FloatArray
    #: number of independent outputs that would scatter as the results' do
    effective_outputs: float
    #: the families that were last fitted all, and the number of results then
    families: frozenset[Family]
    fitted_all: int

    @property
    def best(self) -> Fit:
        """The fit with the largest share."""
        return self.fits[int(np.argmax(self.shares))]

    def predict(
        self,
        observations: Observations,
        cross: Geometry,
        there: Geometry,
        blur: FloatArray | None = None,
    ) -> tuple[FloatArray, FloatArray]:
        """Weights of the results for other points, and the variances that are left.

        Parameters
        ----------
        observations : Observations
            Those that were fitted.
        cross : Geometry
            Of the ``a`` other points to those of the observations.
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
        kept = [(s, f) for s, f in zip(self.shares, self.fits, strict=True) if s > 0]
        predictions = [
            _predict(fit, observations, cross, there, self.effective_outputs) for _, fit in kept
        ]
        weights = np.zeros((len(cross.inner), observations.count))
        for (share, _), (matrix, _) in zip(kept, predictions, strict=True):
            weights += share * matrix
        variance = np.zeros(len(weights))
        for (share, fit), (matrix, own) in zip(kept, predictions, strict=True):
            apart = matrix - weights
            between = np.einsum("ij,jk,ik->i", apart, observations.gram, apart)
            variance += share * (own + np.maximum(between / observations.outputs, 0.0))
            if blur is not None:
                moved = variance_of_moving(fit, there.left, blur)
                variance += share * _scale(fit, observations) * moved
        return weights, (1 + 2 / self.effective_outputs) * variance

    def contrasts(self, observations: Observations) -> FloatArray:
        """``(m, m)`` weights of the results in the error of each as the others predict it.

        References
        ----------
        Rasmussen and Williams, "Gaussian Processes for Machine Learning" (2006), eq. 5.12.
        """
        contrasts = np.zeros_like(observations.gram)
        for share, fit in zip(self.shares, self.fits, strict=True):
            if share > 0:
                factor = cho_factor(fit.results_covariance(observations.geometry), lower=True)
                inverse = cho_solve(factor, np.eye(observations.count))
                contrasts += share * inverse / np.diag(inverse)[:, None]
        return contrasts

    def left_out(self, observations: Observations) -> FloatArray:
        """Squared error of each result as the others predict it, sum over outputs."""
        contrasts = self.contrasts(observations)
        squared = np.einsum("ij,jk,ik->i", contrasts, observations.gram, contrasts)
        left_out: FloatArray = np.maximum(squared, 0.0)
        return left_out

    def noise_variance(self, observations: Observations) -> float:
        """Variance of what differs between results at the same point; 0 without noise."""
        parts = (
            share * fit.nugget(observations.geometry) * _scale(fit, observations)
            for share, fit in zip(self.shares, self.fits, strict=True)
            if share > 0 and fit.noisy
        )
        return float(sum(parts))


def credible_families(geometry: Geometry, returned: IndexArray) -> tuple[Family, ...]:
    """The families that the results can contradict, or that leave something unknown.

    Affine and quadratic functions have so many coefficients, and no more. As long as results only
    just determine them, such a function explains whatever has come, and would be sure of blocks
    that it has no right to be sure of.

    Parameters
    ----------
    geometry : Geometry
        Of the returned chunks and of the points that are asked for, no two of them the same.
    returned : (m,) ndarray of int
        Which of them are the returned chunks.
    """
    unknown = len(geometry.inner) - len(returned)
    credible = []
    for family in (*FAMILIES, AFFINE):
        if family.finite:
            value, _ = family.shape(geometry, 0.0)
            everything = 1 + geometry.inner + value
            among = _rank(everything[np.ix_(returned, returned)])
            if among == len(returned) and (
                family is AFFINE or _rank(everything) < among + unknown
            ):
                continue
        credible.append(family)
    return tuple(credible)


def fit_ensemble(
    observations: Observations,
    families: Sequence[Family] = FAMILIES,
    previous: Ensemble | None = None,
) -> Ensemble:
    """Fit the families to results at points that differ.

    Parameters
    ----------
    observations : Observations
    families : sequence of Family
    previous : Ensemble, optional
        Fitted to fewer results of the same function; makes fitting faster.
    """
    count = float(observations.outputs)
    fitted_all = observations.count
    if (
        previous is None
        or observations.count > GROWTH * previous.fitted_all
        or not previous.families.issuperset(families)
        or not any(fit.family in families for fit in previous.fits)
    ):
        considered = frozenset(families)
        fits = [fit_family(family, observations, count) for family in families]
    else:
        count, fitted_all = previous.effective_outputs, previous.fitted_all
        considered = previous.families
        kept = [fit for fit in previous.fits if fit.family in families]
        fits = [fit_family(f.family, observations, count, f.parameters) for f in kept]
    effective = effective_outputs(min(fits, key=_cost), observations)
    fits = _within_reach(fits, effective)
    if effective < count / 2:
        # Outputs that move together say less than their number; the prior then has more to say.
        fits = [fit_family(f.family, observations, effective, f.parameters) for f in fits]
    fits = _with_noise(fits, observations, effective) or fits
    costs = np.array([fit.cost for fit in fits])
    shares = np.exp(-effective * (costs - costs.min()))
    shares[shares < SMALLEST_SHARE * shares.sum()] = 0
    return Ensemble(tuple(fits), shares / shares.sum(), effective, considered, fitted_all)


def effective_outputs(fit: Fit, observations: Observations) -> float:
    """How many independent outputs would scatter as these do, at least 1 and at most all.

    Were the fit the truth, whitened results of `p` independent outputs would have the inner
    products of a Wishart matrix of `p` degrees of freedom, whose mean square eigenvalue tells `p`.

    Examples
    --------
    >>> outputs = np.random.default_rng(0).normal(size=(9, 20))
    >>> doubled = np.repeat(outputs, 10, axis=1)
    >>> unrelated = Geometry.of(np.eye(9), np.eye(9))
    >>> observations = Observations(unrelated, doubled @ doubled.T, outputs=200)
    >>> 10 < effective_outputs(fit_family(FAMILIES[0], observations, 200), observations) < 40
    True
    """
    gram, m = observations.gram, observations.count
    lower, _ = lapack.dpotrf(fit.results_covariance(observations.geometry), lower=1, clean=1)
    half, _ = lapack.dtrtrs(lower, gram, lower=1)
    white, _ = lapack.dtrtrs(lower, half.T, lower=1)
    total = float(np.trace(white)) ** 2
    if not total > 0:
        return float(observations.outputs)
    excess = m * m * float(np.vdot(white, white)) / total - m
    if excess * observations.outputs <= m * (m + 1):
        return float(observations.outputs)
    return max(m * (m + 1) / excess, 1.0)


def _with_noise(fits: list[Fit], observations: Observations, outputs: float) -> list[Fit]:
    """Fits with noise, if the best one without takes it for roughness and is much less likely."""
    best = min(fits, key=_cost)
    if not is_rough(best, observations):
        return []
    noisy = [fit_noise(family, observations, outputs) for family in (FAMILIES[0], AFFINE)]
    return [
        fit
        for fit in noisy
        if outputs * (best.cost - fit.cost) > NOISE_EVIDENCE and has_noise(fit, observations)
    ]


def _rank(matrix: FloatArray) -> int:
    return int(np.linalg.matrix_rank(matrix, hermitian=True, rtol=RANK_TOLERANCE))


def _within_reach(fits: list[Fit], outputs: float) -> list[Fit]:
    lowest = min(map(_cost, fits))
    return [fit for fit in fits if outputs * (fit.cost - lowest) < HOPELESS]


def _cost(fit: Fit) -> float:
    return fit.cost


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


def _scale(fit: Fit, observations: Observations) -> float:
    """The variance, mean over outputs, in units of the fit's covariance."""
    covariance = fit.results_covariance(observations.geometry)
    explained = cho_solve(cho_factor(covariance, lower=True), observations.gram)
    return float(np.trace(explained)) / (observations.count * observations.outputs)


def _predict(
    fit: Fit, observations: Observations, cross: Geometry, there: Geometry, outputs: float
) -> tuple[FloatArray, FloatArray]:
    """Weights of one family's fit and its variance for every point."""
    factor = cho_factor(fit.results_covariance(observations.geometry), lower=True)
    covariance = fit.covariance(cross)
    weights: FloatArray = cho_solve(factor, covariance.T).T
    prior = np.diag(fit.covariance(there))
    left = prior - np.einsum("ij,ij->i", weights, covariance)
    # Nobody knows more than rounding of the inner products leaves, but where a result is there.
    moved = float(np.mean(there.left_size)) / max(float(np.mean(there.left)), TINY)
    rounding = float(np.finfo(float).eps) * moved
    left = np.where(cross.coincident.any(axis=1), left, np.maximum(left, rounding * prior))
    squared = residuals(fit, observations)
    local = local_variance(weights, squared, outputs)
    local = np.maximum(local, steepness_outside(cross, there, observations.geometry, squared))
    return weights, np.maximum(local * _scale(fit, observations) * left, 0.0)


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


def steepness_outside(
    cross: Geometry, there: Geometry, among: Geometry, squared: FloatArray
) -> FloatArray:
    """Least variances over the common one of points that lie outside of all results.

    Extrapolating is interpolating with weights of hundreds, most of them far inside, where results
    predict each other best. What counts is how well they do so next to where they end.

    Parameters
    ----------
    cross, there, among : Geometry
        Of the points to the results, of the points, and of the results.
    squared : (m,) ndarray
        Leave-one-out residuals of the results, squared, in units of their variances.
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
    near = (closeness @ squared) / np.maximum(closeness.sum(axis=1), TINY)
    least: FloatArray = PAID * outside * near
    return least
