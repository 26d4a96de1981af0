"""Cholesky factors of covariances, straight from LAPACK: matrices here are small and many."""

from __future__ import annotations

import numpy as np
from scipy.linalg import lapack

from dask_bacc.coding._typing import FloatArray

#: Growth of the nugget while rounding leaves no positive definite covariance, and its first value
#: over the mean variance.
STEADIER, STEADIEST = 10.0, 1e-13


def factorised(covariance: FloatArray) -> FloatArray:
    """Lower Cholesky factor of a covariance, with a nugget where rounding left it indefinite.

    Raises
    ------
    LinAlgError
        If it has a NaN or an infinity.

    Examples
    --------
    >>> bool(np.isfinite(factorised(np.array([[1.0, 1.0], [1.0, 1.0 - 1e-13]]))).all())
    True
    """
    nugget = STEADIEST * float(np.trace(covariance)) / len(covariance)
    nugget = max(nugget, float(np.finfo(float).tiny))
    while np.isfinite(nugget):
        factor, failed = lapack.dpotrf(covariance, lower=1)
        if not failed:
            return np.asarray(factor)
        covariance = covariance + nugget * np.eye(len(covariance))
        nugget *= STEADIER
    raise np.linalg.LinAlgError("the covariance is not finite")


def inverse_of(factor: FloatArray, *, overwrite: bool = False) -> FloatArray:
    """Inverse of the covariance that has this lower Cholesky factor, zeros above its diagonal.

    Examples
    --------
    >>> inverse_of(np.linalg.cholesky(np.array([[2.0, 1.0], [1.0, 1.0]]))).round(12)
    array([[ 1., -1.],
           [-1.,  2.]])
    """
    lower, _ = lapack.dpotri(factor, lower=1, overwrite_c=overwrite)
    inverse: FloatArray = lower + lower.T
    diagonal(inverse)[:] *= 0.5
    return inverse


def diagonal(matrix: FloatArray) -> FloatArray:
    """A view of the diagonal of a contiguous matrix, which `numpy.diagonal` does not let write."""
    return matrix.ravel(order="K")[:: len(matrix) + 1]
