"""Factors of covariances that rounding has spoilt."""

from __future__ import annotations

import numpy as np
import pytest

from dask_bacc.coding.kriging.cholesky import factorised


@pytest.mark.parametrize("excess", [1e-15, 1e-12, 1e-9])
def test_a_covariance_that_rounding_left_indefinite_is_factorised(excess):
    rng = np.random.default_rng(0)
    points = rng.normal(size=(12, 4))
    covariance = points @ points.T - excess * np.eye(12)
    factor = np.tril(factorised(covariance))
    np.testing.assert_allclose(factor @ factor.T, covariance, atol=1e3 * excess + 1e-10)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_covariance_that_is_not_finite_is_refused(bad):
    with pytest.raises(np.linalg.LinAlgError, match="not finite"):
        factorised(np.full((3, 3), bad))
