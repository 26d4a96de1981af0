"""Results as one fit explains them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import lapack

from dask_bacc.coding._typing import FloatArray
from dask_bacc.coding.kriging.cholesky import factorised, inverse_of
from dask_bacc.coding.kriging.fit import Fit
from dask_bacc.coding.kriging.observations import Observations


@dataclass(frozen=True, eq=False)
class Explained:
    """Results as one fit explains them.

    References
    ----------
    Rasmussen and Williams, "Gaussian Processes for Machine Learning" (2006), eqs. 5.10 to 5.12.
    """

    fit: Fit
    #: ``(m, m)`` lower Cholesky factor of the results' covariance, and its inverse
    factor: FloatArray
    inverse: FloatArray
    #: variance, mean over outputs, in units of the fit's covariance
    scale: float
    #: ``(m,)`` leave-one-out residuals, squared, in units of their variances; about 1 in the mean
    residuals: FloatArray

    @classmethod
    def by(cls, fit: Fit, observations: Observations) -> Explained:
        """Factorise the covariance once for all that is asked of it."""
        factor = factorised(fit.results_covariance(observations.geometry))
        explained, _ = lapack.dpotrs(factor, observations.gram, lower=1)
        twice, _ = lapack.dpotrs(factor, explained.T, lower=1)
        inverse = inverse_of(factor)
        scale = float(np.trace(explained)) / observations.count
        residuals = np.ones(observations.count)
        # Where a function is exact, rounding leaves anything.
        if scale > 0:
            residuals = np.maximum(np.diag(twice) / np.diag(inverse) / scale, 0.0)
        return cls(fit, factor, inverse, scale / observations.outputs, residuals)
