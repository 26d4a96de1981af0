"""Choosing hyper-parameters: the marginal likelihood with its scale profiled out, and a prior."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from math import exp

import numpy as np

from dask_bacc.coding._typing import FloatArray
from dask_bacc.coding.kriging.cholesky import diagonal
from dask_bacc.coding.kriging.kernels import Family, Geometry
from dask_bacc.coding.kriging.likelihood import Prior, nugget_variance, profiled, profiled_value
from dask_bacc.coding.kriging.observations import Observations
from dask_bacc.coding.kriging.search import Cost, descend
from dask_bacc.coding.patience import out_of_time

#: Logarithms of the weights of the terms and of the nugget stay within these.
LOWEST, HIGHEST = -34.0, 6.0
#: The same of the length scale.
SHORTEST, LONGEST = -4.0, 5.0
#: Logarithm of the nugget while fitting a function without noise: it keeps covariances regular.
NO_NOISE = -25.0
#: Loss in the log posterior for which even that nugget is given up.
EXACT_EVIDENCE = 0.5
#: Logarithm of a term's share below which a search of another family would not find it again.
VANISHED = 8.0
#: Logarithm of the nugget from which the search for noise starts, and the gain in the log
#: posterior from which noise is believed in.
NOISE_START, NOISE_EVIDENCE = -6.0, 3.0
#: Gain in the log posterior that a step has to promise: nobody would see a smaller one.
LAST_GAIN = 0.1
#: Nats by which a family is behind the best without which it has a share, and steps like the last
#: one by which it might catch up that are too many.
HOPELESS, TOO_MANY = 20.0, 8.0
#: Most results that hyper-parameters are searched on.
LARGEST = 128
#: Standard deviations of the prior: of the logarithms of the constant's and the linear term's
#: weights over the curved one's, and of the length scale over the family's usual one. With as many
#: results as blocks nothing but this tells a linear function from a curved one; with many outputs
#: it has no say.
SPREADS = (4.0, 4.0, 1.5)
#: The weights of the parameters in these three.
BELIEFS = np.array([[1.0, 0, -1, 0, 0], [0, 1, -1, 0, 0], [0, 0, 0, 1, 0]])


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

    def start_for(self, family: Family) -> FloatArray:
        """``(5,)`` parameters from which a search starts that may end at another family."""
        start = self.parameters.copy()
        start[:3] = np.maximum(start[:3], start[:3].max() - VANISHED)
        start[3] += family.log_length - self.family.log_length
        return start

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

    def value(self, parameters: FloatArray) -> float:
        """The value alone, for less than half of what `cost` takes."""
        observations = self.observations
        covariance = Fit(self.family, parameters, 0.0).covariance(observations.geometry)
        value = profiled_value(covariance, exp(parameters[4]), observations.gram)
        return value + self._prior.value(parameters)

    def cost(self, parameters: FloatArray) -> Cost:
        """Value, gradient and information; the scale of the covariance is profiled out."""
        geometry = self.observations.geometry
        # Every line here counts: a fit comes by forty times.
        constant, linear, weight, length, nugget = parameters.tolist()
        value, by_length = self.family.shape(geometry, length)
        parts = np.empty((5, *value.shape))
        parts[0] = exp(constant)
        np.multiply(geometry.inner, exp(linear), out=parts[1])
        np.multiply(value, exp(weight), out=parts[2])
        np.multiply(by_length, exp(weight), out=parts[3])
        parts[4] = 0.0
        likelihood = profiled(parts[:3].sum(axis=0), parts, exp(nugget), self.observations.gram)
        return self._prior.added_to(likelihood, parameters)

    @cached_property
    def _prior(self) -> Prior:
        means = np.array([0.0, 0.0, self.family.log_length])
        return Prior(BELIEFS, means, np.array(SPREADS) * math.sqrt(self.outputs))

    def minimise(
        self, start: FloatArray, noise: tuple[float, float], lowest: float = math.inf
    ) -> Fit:
        """The likeliest parameters, with the logarithm of the nugget within bounds.

        A search that is far from the lowest cost of other families, and comes no nearer, is ended.
        """
        low = np.array([*[LOWEST] * 3, SHORTEST, noise[0]])
        high = np.array([*[HIGHEST] * 3, LONGEST, noise[1]])
        if out_of_time():
            start = np.clip(start, low, high)
            return Fit(self.family, start, self.value(start))

        def enough(promised: float, gained: float, cost: float) -> bool:
            behind = cost - lowest
            hopeless = self.outputs * behind > HOPELESS and TOO_MANY * gained < behind
            return self.outputs * promised < LAST_GAIN or hopeless or out_of_time()

        return Fit(self.family, *descend(self.cost, start, low, high, enough))


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
    without = whole.value(exact)
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
    return replace(found, cost=whole.value(found.parameters))


def _with_nugget(covariance: FloatArray, share: float) -> FloatArray:
    sum_of_both = np.array(covariance)
    diagonal(sum_of_both)[:] += nugget_variance(covariance, share)
    return sum_of_both
