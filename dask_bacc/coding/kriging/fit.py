"""Choosing hyper-parameters: the marginal likelihood with its scale profiled out, and a prior."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import exp, log

import numpy as np
from scipy.linalg import lapack

from dask_bacc.coding._typing import FloatArray
from dask_bacc.coding.kriging.cholesky import diagonal, inverse_of
from dask_bacc.coding.kriging.kernels import Family, Geometry
from dask_bacc.coding.kriging.observations import Observations
from dask_bacc.coding.kriging.search import descend
from dask_bacc.coding.patience import out_of_time

#: Logarithms of the weights of the terms and of the nugget stay within these.
LOWEST, HIGHEST = -34.0, 6.0
#: The same of the length scale.
SHORTEST, LONGEST = -4.0, 5.0
#: Share of the mean variance that is always added, so that factorising succeeds.
JITTER = 1e-14
#: Logarithm of the nugget while fitting a function without noise: it keeps covariances regular.
NO_NOISE = -25.0
#: Loss in the log posterior for which even that nugget is given up.
EXACT_EVIDENCE = 0.5
#: Logarithm of the nugget from which the search for noise starts, and the gain in the log
#: posterior from which noise is believed in.
NOISE_START, NOISE_EVIDENCE = -6.0, 3.0
#: Gain in the log posterior of a step after which the search ends: nobody would see the next one.
LAST_GAIN = 0.1
#: Nats by which a family is behind the best without which it has a share, and steps like the last
#: one by which it might catch up that are too many.
HOPELESS, TOO_MANY = 20.0, 8.0
#: Most results that hyper-parameters are searched on.
LARGEST = 128
#: Cost where rounding leaves no positive definite covariance; the search turns back from it.
IMPOSSIBLE = 1e10
#: Standard deviations of the prior: of the logarithms of the constant's and the linear term's
#: weights over the curved one's, and of the length scale over the family's usual one. With as many
#: results as blocks nothing but this tells a linear function from a curved one; with many outputs
#: it has no say.
SPREADS = (4.0, 4.0, 1.5)


@dataclass(frozen=True)
class Fit:
    """Hyper-parameters of one family."""

    family: Family
    #: logarithms of the weights of the constant, linear and family terms, of the length, and of
    #: the nugget in units of the mean variance
    parameters: FloatArray
    #: negative log posterior per output, up to a constant that families share
    cost: float

    @property
    def noisy(self) -> bool:
        """Whether the nugget is more than what keeps covariances regular."""
        return bool(self.parameters[4] > NO_NOISE)

    def covariance(self, geometry: Geometry) -> FloatArray:
        """Covariance of function values, without the nugget."""
        constant, linear, weight = np.exp(self.parameters[:3])
        value, _ = self.family.shape(geometry, self.parameters[3])
        covariance: FloatArray = constant + linear * geometry.inner + weight * value
        return covariance

    def results_covariance(self, geometry: Geometry) -> FloatArray:
        """Covariance of results, which have the nugget."""
        return self.of_results(self.covariance(geometry))

    def of_results(self, covariance: FloatArray) -> FloatArray:
        """Covariance of results at points where function values have this one."""
        return _with_nugget(covariance, np.exp(self.parameters[4]))

    def nugget(self, geometry: Geometry) -> float:
        """Variance of what differs from one result to the next for no reason."""
        share = float(np.exp(self.parameters[4]))
        return share * float(np.mean(np.diag(self.covariance(geometry))))


@dataclass(frozen=True)
class Posterior:
    """The negative log posterior of one family's hyper-parameters, per output."""

    family: Family
    observations: Observations
    #: independent outputs; the prior counts once, the likelihood as often as there are outputs
    outputs: float

    def cost(self, parameters: Sequence[float] | FloatArray) -> tuple[float, list[float]]:
        """Value and gradient; the scale of the covariance is profiled out.

        References
        ----------
        Rasmussen and Williams, "Gaussian Processes for Machine Learning" (2006), eqs. 5.8, 5.9.
        """
        geometry, gram = self.observations.geometry, self.observations.gram
        m = len(gram)
        # Every line here counts: a search comes by a hundred times.
        constant, linear, weight = map(exp, parameters[:3])
        # In units of the rest, or a fit without noise would shrink the rest to have some.
        nugget = exp(parameters[4])
        value, by_length = self.family.shape(geometry, parameters[3])
        covariance = weight * value
        covariance += linear * geometry.inner
        covariance += constant
        variances = diagonal(covariance)
        variance = float(variances.sum())
        variances += (nugget + JITTER) * variance / m
        # It is symmetric, so that its transpose, which LAPACK need not copy, is the same.
        factor, failed = lapack.dpotrf(covariance.T, lower=1, overwrite_a=1)
        if failed:
            return IMPOSSIBLE, [0.0] * 5
        log_determinant = 2 * float(np.log(np.diag(factor)).sum())
        inverse = inverse_of(factor, overwrite=True)
        explained = inverse @ gram
        trace = float(diagonal(explained).sum())
        if not trace > 0:
            return IMPOSSIBLE, [0.0] * 5
        # Summed against a derivative of the covariance, this gives the derivative of the cost.
        pull = explained @ inverse
        pull *= -m / trace
        pull += inverse
        pull *= 0.5
        by_variance = diagonal(pull)
        by_mean_variance = nugget * float(by_variance.sum()) / m
        by_variance += by_mean_variance
        prior, slope = self._prior(parameters)
        gradient = [
            constant * float(pull.sum()) + slope[0],
            linear * float(np.vdot(geometry.inner, pull)) + slope[1],
            weight * float(np.vdot(value, pull)) + slope[2],
            weight * float(np.vdot(by_length, pull)) + slope[3],
            by_mean_variance * variance,
        ]
        return 0.5 * (m * log(trace / m) + log_determinant) + prior, gradient

    def _prior(self, parameters: Sequence[float] | FloatArray) -> tuple[float, list[float]]:
        """Its part of the cost, and of the gradient by the first four parameters."""
        constant, linear, weight, length = parameters[:4]
        away = (constant - weight, linear - weight, length - self.family.log_length)
        pulls = [a / (s * s * self.outputs) for a, s in zip(away, SPREADS, strict=True)]
        cost = 0.5 * sum(a * pull for a, pull in zip(away, pulls, strict=True))
        return cost, [pulls[0], pulls[1], -pulls[0] - pulls[1], pulls[2]]

    def minimise(
        self, start: FloatArray, noise: tuple[float, float], lowest: float = math.inf
    ) -> Fit:
        """The likeliest parameters, with the logarithm of the nugget within bounds.

        A search that is far from the lowest cost of other families, and comes no nearer, is ended.
        """
        if out_of_time():
            return Fit(self.family, start, self.cost(start)[0])

        def enough(gain: float, cost: float) -> bool:
            behind = cost - lowest
            hopeless = self.outputs * behind > HOPELESS and TOO_MANY * gain < behind
            return self.outputs * gain < LAST_GAIN or hopeless or out_of_time()

        box = [(LOWEST, HIGHEST)] * 3 + [(SHORTEST, LONGEST), noise]
        found, cost = descend(self.cost, start.tolist(), box, enough)
        return Fit(self.family, np.array(found), cost)


def fit_family(
    family: Family,
    observations: Observations,
    outputs: float,
    start: FloatArray | None = None,
    lowest: float = math.inf,
) -> Fit:
    """Fit one family to the results of a function without noise.

    Parameters
    ----------
    family : Family
    observations : Observations
        At points that differ.
    outputs : float
        Independent outputs of the function.
    start : (5,) ndarray, optional
        Parameters to start from.
    lowest : float
        Cost of the best family so far.
    """
    whole = Posterior(family, observations, outputs)
    if start is None:
        start = np.array([0.0, 0.0, 0.0, family.log_length, NO_NOISE])
    found = _search(whole, np.append(start[:4], NO_NOISE), (NO_NOISE, NO_NOISE), lowest)
    exact = np.append(found.parameters[:4], LOWEST)
    without = whole.cost(exact)[0]
    # Even a trace of noise would cost exact functions their digits.
    if without <= found.cost + EXACT_EVIDENCE / outputs:
        return Fit(family, exact, without)
    return found


def fit_noise(family: Family, observations: Observations, outputs: float) -> Fit:
    """Fit one family with noise; see `fit_family`."""
    start = np.array([0.0, 0.0, 0.0, family.log_length, NOISE_START])
    return _search(Posterior(family, observations, outputs), start, (NO_NOISE, 0.0))


def is_rough(fit: Fit, observations: Observations) -> bool:
    """Whether results tell next to nothing of each other's curved part, as if it were noise."""
    value, _ = fit.family.shape(observations.geometry, fit.parameters[3])
    curved = np.exp(fit.parameters[2]) * np.diag(value)
    return bool(np.mean(unknown_variance(fit, observations) > 0.5 * curved) > 0.5)


def has_noise(fit: Fit, observations: Observations) -> bool:
    """Whether noise is most of what the other results do not tell of each."""
    unknown = np.median(unknown_variance(fit, observations))
    return fit.noisy and bool(unknown < 2 * fit.nugget(observations.geometry))


def unknown_variance(fit: Fit, observations: Observations) -> FloatArray:
    """Variance of each result, given the others, in units of the fit's covariance."""
    return np.asarray(1 / np.diag(np.linalg.inv(fit.results_covariance(observations.geometry))))


def _search(
    whole: Posterior, start: FloatArray, noise: tuple[float, float], lowest: float = math.inf
) -> Fit:
    """The likeliest parameters, found on evenly spaced results where there are many."""
    observations = whole.observations
    if observations.count <= LARGEST:
        return whole.minimise(start, noise, lowest)
    # A handful of parameters need not all of the results; they are judged on all.
    some = observations.among(np.linspace(0, observations.count - 1, LARGEST).astype(np.intp))
    found = replace(whole, observations=some).minimise(start, noise)
    return replace(found, cost=whole.cost(found.parameters)[0])


def _with_nugget(covariance: FloatArray, share: float) -> FloatArray:
    mean_variance = float(np.trace(covariance)) / len(covariance)
    sum_of_both = covariance.copy()
    sum_of_both[np.diag_indices(len(covariance))] += (share + JITTER) * mean_variance
    return sum_of_both
