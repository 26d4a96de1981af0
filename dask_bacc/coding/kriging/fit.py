"""Choosing hyper-parameters: the marginal likelihood with its scale profiled out, and a prior."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import lapack
from scipy.optimize import minimize

from dask_bacc.coding._typing import FloatArray
from dask_bacc.coding.kriging.kernels import Family, Geometry

#: Logarithms of the weights of the terms and of the nugget stay within these.
LOWEST, HIGHEST = -34.0, 6.0
#: Share of the mean variance that is always added, so that factorising succeeds.
JITTER = 1e-14
#: Gain in the log posterior below which the nugget is dropped.
NOISE_EVIDENCE = 0.5
#: Cost where rounding leaves no positive definite covariance; the search turns back from it.
IMPOSSIBLE = 1e10
#: Standard deviations of the prior: of the logarithm of one term's weight over another's, and of
#: the length scale over the family's usual one. With as many results as blocks nothing but this
#: tells a linear function from a curved one; with many outputs it has no say.
RATIO_SPREAD, LENGTH_SPREAD = 4.0, 1.5


@dataclass(frozen=True)
class Fit:
    """Hyper-parameters of one family."""

    family: Family
    #: logarithms of the weights of the constant, linear and family terms, of the length, and of
    #: the nugget
    parameters: FloatArray
    #: negative log posterior per output, up to a constant that families share
    cost: float

    @property
    def nugget(self) -> float:
        """Variance of what differs from one result to the next for no reason."""
        return float(np.exp(self.parameters[4]))

    def covariance(self, geometry: Geometry) -> FloatArray:
        """Covariance of function values, without the nugget."""
        constant, linear, weight = np.exp(self.parameters[:3])
        value, _ = self.family.shape(geometry, self.parameters[3])
        covariance: FloatArray = constant + linear * geometry.inner + weight * value
        return covariance

    def results_covariance(self, geometry: Geometry) -> FloatArray:
        """Covariance of results, which have the nugget."""
        return _with_nugget(self.covariance(geometry), self.nugget)


def fit_family(family: Family, geometry: Geometry, gram: FloatArray, outputs: int) -> Fit:
    """Fit one family to the results.

    Parameters
    ----------
    family : Family
    geometry : Geometry
        Of the returned chunks.
    gram : (m, m) ndarray
        Inner products of the results, scaled to a trace of `m`.
    outputs : int
        Outputs `p` of the function; the prior counts once, the likelihood `p` times.

    Returns
    -------
    Fit

    References
    ----------
    Rasmussen and Williams, "Gaussian Processes for Machine Learning" (2006), eqs. 5.8 and 5.9.
    """
    m = len(gram)
    start = np.array([0.0, 0.0, 0.0, family.log_length, -25.0])
    spread = np.array([RATIO_SPREAD, RATIO_SPREAD, LENGTH_SPREAD])

    def cost(parameters: FloatArray) -> tuple[float, FloatArray]:
        weights = np.exp(parameters[:3])
        nugget = float(np.exp(parameters[4]))
        value, by_length = family.shape(geometry, parameters[3])
        covariance = weights[0] + weights[1] * geometry.inner + weights[2] * value
        factor, failed = lapack.dpotrf(_with_nugget(covariance, nugget), lower=1)
        if failed:
            return IMPOSSIBLE, np.zeros(5)
        lower, _ = lapack.dpotri(factor, lower=1)
        inverse = np.tril(lower) + np.tril(lower, -1).T
        explained = inverse @ gram
        trace = float(np.trace(explained))
        if not trace > 0:
            return IMPOSSIBLE, np.zeros(5)
        # Summed against a derivative of the covariance, this gives the derivative of the cost.
        pull = 0.5 * (inverse - (m / trace) * (explained @ inverse))
        gradient = np.array(
            [
                weights[0] * pull.sum(),
                weights[1] * np.sum(geometry.inner * pull),
                weights[2] * np.sum(value * pull),
                weights[2] * np.sum(by_length * pull),
                nugget * np.trace(pull),
            ]
        )
        away = (
            np.array(
                [
                    parameters[0] - parameters[2],
                    parameters[1] - parameters[2],
                    parameters[3] - family.log_length,
                ]
            )
            / spread
        )
        pressure = away / spread / outputs
        gradient[:2] += pressure[:2]
        gradient[2] -= pressure[:2].sum()
        gradient[3] += pressure[2]
        likelihood = 0.5 * m * np.log(trace / m) + float(np.log(np.diag(factor)).sum())
        return likelihood + 0.5 * float(away @ away) / outputs, gradient

    found = minimize(
        cost,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=[(LOWEST, HIGHEST)] * 3 + [(-4.0, 5.0), (LOWEST, 0.0)],
        options={"maxiter": 60},
    )
    parameters = np.asarray(found.x)
    exact = np.append(parameters[:4], LOWEST)
    # Noise is not assumed where it explains nothing: it would cost exact functions their digits.
    if cost(exact)[0] <= found.fun + NOISE_EVIDENCE / outputs:
        parameters = exact
    return Fit(family, parameters, float(found.fun))


def _with_nugget(covariance: FloatArray, nugget: float) -> FloatArray:
    jitter = JITTER * float(np.trace(covariance)) / len(covariance)
    return covariance + (nugget + jitter) * np.eye(len(covariance))
