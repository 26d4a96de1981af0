"""Which kinds of functions count."""

from __future__ import annotations

import numpy as np
import pytest

from dask_bacc import coding
from dask_bacc.coding import decode
from dask_bacc.coding.kriging.ensemble import credible_families
from dask_bacc.coding.kriging.kernels import Geometry


def curve(count):
    """Points on a curve whose quadratic functions have seven coefficients."""
    position = (np.arange(count) + 0.5) / count
    return np.cos(np.pi * np.arange(4) * position[:, None])


def names(points, gram_of, returned):
    geometry = Geometry.of(np.eye(len(points)), gram_of(points))
    return [family.name for family in credible_families(geometry, np.arange(returned))]


@pytest.mark.parametrize(
    ("returned", "affine", "quadratic"),
    [(4, False, False), (5, True, False), (7, True, False), (8, True, True)],
)
def test_polynomials_count_once_the_results_could_contradict_them(returned, affine, quadratic):
    found = names(curve(9), lambda points: points @ points.T, returned)
    assert ("linear" in found) == affine
    assert ("quadratic" in found) == quadratic


def test_quadratic_functions_count_where_they_leave_something_unknown():
    points = np.random.default_rng(0).normal(size=(9, 30))
    assert "quadratic" in names(points, lambda points: points @ points.T, 8)


def test_as_many_results_as_a_quadratic_function_has_coefficients_promise_nothing():
    """Seven blocks on a curve and their mean explain the eighth as they please."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        blocks = curve(8) @ rng.normal(size=(4, 60))
        code = coding.Local(8, 9)
        results = np.exp(np.sin(code.encode(blocks) @ rng.normal(size=(60, 4)) / 3))
        lost = int(rng.integers(8))
        returned = {i: results[i] for i in range(9) if i != lost}
        decoded = decode(code, returned, gram=blocks @ blocks.T)
        error = np.sqrt(np.mean((decoded.blocks[lost] - results[lost]) ** 2))
        assert error < 8 * decoded.error[lost]
