"""Covariances, against formulas, differences and brute force."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import check_grad
from scipy.special import erf

from dask_bacc.coding.kriging.kernels import FAMILIES, UNIT_BIAS, Geometry, arc_sine


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_derivatives_by_length_are_those_of_differences(family):
    rng = np.random.default_rng(0)
    points = rng.normal(size=(6, 4))
    geometry = Geometry.of(points, np.eye(4))
    direction = rng.normal(size=(6, 6))

    def value(log_length):
        return float(np.sum(direction * family.shape(geometry, log_length[0])[0]))

    def gradient(log_length):
        return np.array([np.sum(direction * family.shape(geometry, log_length[0])[1])])

    for log_length in (-1.0, 0.0, 1.5):
        scale = np.abs(direction).sum()
        assert check_grad(value, gradient, [log_length]) < 1e-5 * scale


def test_distances_are_those_of_the_points():
    rng = np.random.default_rng(1)
    blocks, points = rng.normal(size=(4, 7)), rng.normal(size=(5, 4))
    geometry = Geometry.of(points, blocks @ blocks.T)
    placed = points @ blocks
    brute = [[np.sum((a - b) ** 2) for b in placed] for a in placed]
    np.testing.assert_allclose(geometry.squared_distance, brute, atol=1e-12)
    np.testing.assert_allclose(geometry.inner, placed @ placed.T, atol=1e-12)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_covariances_are_positive_semidefinite(family):
    points = np.random.default_rng(2).normal(size=(20, 5))
    value, _ = family.shape(Geometry.of(points, np.eye(5)), 0.3)
    assert np.linalg.eigvalsh(value).min() > -1e-10


def test_the_arc_sine_is_the_covariance_of_sigmoidal_units():
    """Against the mean over random units, erf of a normal weighted sum and bias."""
    rng = np.random.default_rng(3)
    points = rng.normal(size=(5, 3))
    log_length = -0.4
    steepness = np.exp(-2 * log_length)
    weights = np.sqrt(steepness) * rng.normal(size=(3, 400_000))
    bias = np.sqrt(steepness * UNIT_BIAS) * rng.normal(size=400_000)
    units = erf(points @ weights + bias)
    value, _ = arc_sine(Geometry.of(points, np.eye(3)), log_length)
    np.testing.assert_allclose(2 / np.pi * value, units @ units.T / 400_000, atol=0.01)
