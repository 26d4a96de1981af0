"""How likely results are by a covariance whose scale is profiled out, and a prior."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import log

import numpy as np
from scipy.linalg import lapack

from dask_bacc.coding._typing import FloatArray
from dask_bacc.coding.kriging.cholesky import diagonal, inverse_of
from dask_bacc.coding.kriging.search import Cost

#: Share of the mean variance that is always added, so that factorising succeeds.
JITTER = 1e-14
#: Cost where rounding leaves no positive definite covariance; the search turns back from it.
IMPOSSIBLE = 1e10


def profiled(
    covariance: FloatArray, derivatives: FloatArray, nugget: float, gram: FloatArray
) -> Cost:
    """Negative log likelihood per output by parameters of a covariance and of its nugget.

    Parameters
    ----------
    covariance : (m, m) ndarray
        Of the function's values, in any unit; lost.
    derivatives : (q + 1, m, m) ndarray
        By the parameters, and zeros for that by the logarithm of the nugget; lost.
    nugget : float
        In units of the mean variance.
    gram : (m, m) ndarray
        Inner products of the results.

    References
    ----------
    Rasmussen and Williams, "Gaussian Processes for Machine Learning" (2006), eqs. 5.8, 5.9; Mardia
    and Marshall, "Maximum likelihood estimation of models for residual covariance in spatial
    regression", Biometrika 71 (1984), for the information.

    Examples
    --------
    >>> apart, alike = np.eye(3), np.ones((3, 3))
    >>> room = np.stack([alike, np.zeros((3, 3))])
    >>> round(profiled(apart + alike, room, 0.0, apart + alike).value, 6) == round(0.5 * log(4), 6)
    True
    """
    m, q = len(gram), len(derivatives)
    variance = float(np.trace(covariance)) / m
    # In units of the rest, or a fit without noise would shrink the rest to have some.
    own = derivatives.reshape(q, m * m)[:, :: m + 1]
    own[:-1] += nugget / m * own[:-1].sum(axis=1, keepdims=True)
    own[-1] = nugget * variance
    factor, failed = _factorised(covariance, nugget)
    if failed:
        return _impossible(q)
    log_determinant = _log_determinant(factor)
    inverse = inverse_of(factor, overwrite=True)
    explained = inverse @ gram
    trace = float(diagonal(explained).sum())
    if not trace > 0:
        return _impossible(q)
    relative = inverse @ derivatives
    flat = relative.reshape(q, m * m)
    traces = flat[:, :: m + 1].sum(axis=1)
    slope = 0.5 * (traces - (m / trace) * (flat @ explained.T.ravel()))
    squares = flat @ relative.transpose(0, 2, 1).reshape(q, m * m).T
    information = 0.5 * (squares - np.outer(traces, traces) / m)
    return Cost(0.5 * (m * log(trace / m) + log_determinant), slope, information)


def profiled_value(covariance: FloatArray, nugget: float, gram: FloatArray) -> float:
    """The value of `profiled` alone; the covariance is lost.

    Examples
    --------
    >>> variances = np.array([1.0, 2.0, 3.0])
    >>> round(profiled_value(np.diag(variances), 0.0, np.diag(variances)), 6)
    0.89588
    """
    m = len(gram)
    factor, failed = _factorised(covariance, nugget)
    if failed:
        return IMPOSSIBLE
    explained, _ = lapack.dpotrs(factor, gram, lower=1)
    trace = float(np.trace(explained))
    return 0.5 * (m * log(trace / m) + _log_determinant(factor)) if trace > 0 else IMPOSSIBLE


def nugget_variance(covariance: FloatArray, share: float) -> float:
    """Variance of a nugget in units of the mean variance, with what keeps factorising possible.

    Examples
    --------
    >>> round(nugget_variance(np.diag([1.0, 3.0]), 0.5), 6)
    1.0
    """
    return (share + JITTER) * float(np.trace(covariance)) / len(covariance)


def effective_outputs(factor: FloatArray, gram: FloatArray, outputs: int) -> float:
    """How many independent outputs would scatter as these do, at least 1 and at most all.

    Were the covariance the truth, whitened results of `p` independent outputs would have the inner
    products of a Wishart matrix of `p` degrees of freedom, whose mean square eigenvalue tells `p`.

    Parameters
    ----------
    factor : (m, m) ndarray
        Lower Cholesky factor of the results' covariance.
    gram : (m, m) ndarray
        Inner products of the results.
    outputs : int
        Numbers in a result.

    Examples
    --------
    >>> results = np.repeat(np.random.default_rng(0).normal(size=(9, 20)), 10, axis=1)
    >>> 10 < effective_outputs(np.eye(9), results @ results.T, 200) < 40
    True
    """
    m = len(gram)
    half, _ = lapack.dtrtrs(factor, gram, lower=1)
    white, _ = lapack.dtrtrs(factor, half.T, lower=1)
    total = float(np.trace(white)) ** 2
    if not total > 0:
        return float(outputs)
    excess = m * m * float(np.vdot(white, white)) / total - m
    if excess * outputs <= m * (m + 1):
        return float(outputs)
    return max(m * (m + 1) / excess, 1.0)


def _factorised(covariance: FloatArray, nugget: float) -> tuple[FloatArray, int]:
    """Lower Cholesky factor of a covariance with its nugget, and whether there is none."""
    diagonal(covariance)[:] += nugget_variance(covariance, nugget)
    # It is symmetric, so that its transpose, which LAPACK need not copy, is the same.
    factor, failed = lapack.dpotrf(covariance.T, lower=1, overwrite_a=1)
    return factor, failed


def _log_determinant(factor: FloatArray) -> float:
    return 2 * float(np.log(diagonal(factor)).sum())


def _impossible(parameters: int) -> Cost:
    return Cost(IMPOSSIBLE, np.zeros(parameters), np.zeros((parameters, parameters)))


@dataclass(frozen=True, eq=False)
class Prior:
    """Normal distributions of sums of parameters, each by itself.

    Examples
    --------
    >>> beliefs = Prior(np.array([[1.0, -1.0]]), np.array([0.0]), np.array([2.0]))
    >>> beliefs.added_to(Cost(0.0, np.zeros(2), np.zeros((2, 2))), np.array([4.0, 0.0])).slope
    array([ 1., -1.])
    """

    #: ``(r, q)`` weights of the parameters in every sum
    weights: FloatArray
    #: ``(r,)`` means, and standard deviations
    means: FloatArray
    deviations: FloatArray

    @cached_property
    def _scaled(self) -> FloatArray:
        """Weights in sums of standard deviation 1."""
        return self.weights / self.deviations[:, None]

    @cached_property
    def _information(self) -> FloatArray:
        information: FloatArray = self._scaled.T @ self._scaled
        return information

    def _away(self, parameters: FloatArray) -> FloatArray:
        away: FloatArray = self._scaled @ parameters - self.means / self.deviations
        return away

    def value(self, parameters: FloatArray) -> float:
        """The prior's part of the cost."""
        away = self._away(parameters)
        return 0.5 * float(away @ away)

    def added_to(self, cost: Cost, parameters: FloatArray) -> Cost:
        """The cost with the prior's part."""
        away = self._away(parameters)
        return Cost(
            cost.value + 0.5 * float(away @ away),
            cost.slope + away @ self._scaled,
            cost.information + self._information,
        )
