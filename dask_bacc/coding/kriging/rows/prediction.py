"""What results say of other rows, and of each other's, if rows are points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import lapack

from dask_bacc.coding._typing import FloatArray
from dask_bacc.coding.kriging.cholesky import factorised, inverse_of
from dask_bacc.coding.kriging.conditioned import variance_of_moving
from dask_bacc.coding.kriging.ensemble import Ensemble
from dask_bacc.coding.kriging.fit import Fit
from dask_bacc.coding.kriging.kernels import Geometry


@dataclass(frozen=True, eq=False)
class Prediction:
    """Of the lost rows, and of the rows of each result from those of the others."""

    #: ``(l s, m s)`` for batches of ``s`` rows, ``l`` blocks and ``m`` results
    weights: FloatArray
    #: ``(l s,)`` variance that is left, mean over outputs
    variance: FloatArray
    #: ``(l s,)`` variance for rows that may be elsewhere
    moved: FloatArray
    #: ``(m s, p)`` errors of the left-out results
    left_out: FloatArray
    #: ``(m s,)`` their variance, sum over outputs
    expected: FloatArray


def predict_rows(
    ensemble: Ensemble, geometry: Geometry, values: FloatArray, results: int, blur: FloatArray
) -> Prediction:
    """Averaged over families; the lost rows are the first points, those of the results follow."""
    count, outputs = values.shape
    asked = len(geometry.inner) - count
    there, given = np.arange(asked), np.arange(asked, asked + count)
    cross, among = geometry.between(there, given), geometry.among(given)
    parts = [
        _predict_one(fit, geometry.among(there), cross, among, values, results, blur)
        for share, fit in zip(ensemble.shares, ensemble.fits, strict=True)
        if share > 0
    ]
    shares = ensemble.shares[ensemble.shares > 0]
    weights = sum(share * part.weights for share, part in zip(shares, parts, strict=True))
    variance = np.zeros(asked)
    for share, part in zip(shares, parts, strict=True):
        apart = (part.weights - weights) @ values
        variance += share * (part.variance + (apart**2).sum(axis=1) / outputs)
    return Prediction(
        np.asarray(weights),
        variance,
        np.asarray(sum(s * part.moved for s, part in zip(shares, parts, strict=True))),
        np.asarray(sum(s * part.left_out for s, part in zip(shares, parts, strict=True))),
        np.asarray(sum(s * part.expected for s, part in zip(shares, parts, strict=True))),
    )


def _predict_one(
    fit: Fit,
    there: Geometry,
    cross: Geometry,
    among: Geometry,
    values: FloatArray,
    results: int,
    blur: FloatArray,
) -> Prediction:
    """Of one family.

    References
    ----------
    Rasmussen and Williams, "Gaussian Processes for Machine Learning" (2006), eqs. 5.10 to 5.12,
    with the rows of a result in place of a single one.
    """
    count, outputs = values.shape
    factor = factorised(fit.results_covariance(among))
    explained, _ = lapack.dpotrs(factor, values, lower=1)
    scale = max(float(np.vdot(values, explained)), 0.0) / values.size
    covariance = fit.covariance(cross)
    solved, _ = lapack.dpotrs(factor, covariance.T, lower=1)
    weights = solved.T
    left = np.diag(fit.covariance(there)) - np.einsum("ij,ij->i", weights, covariance)
    # What differs for no reason, or for one that lies in other rows, differs in the lost ones too.
    nugget = fit.nugget(among) if fit.noisy else 0.0
    inverse = inverse_of(factor)
    size = count // results
    left_out, expected = np.empty_like(values), np.empty(count)
    for result in range(results):
        part = slice(result * size, (result + 1) * size)
        own = np.linalg.inv(inverse[part, part])
        left_out[part] = own @ explained[part]
        expected[part] = scale * outputs * np.diag(own)
    norms = there.left.reshape(len(blur), -1)
    moved = scale * np.repeat(variance_of_moving(fit, norms.mean(axis=1), blur), norms.shape[1])
    return Prediction(weights, scale * (np.maximum(left, 0.0) + nugget), moved, left_out, expected)
