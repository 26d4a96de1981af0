from __future__ import annotations

import baryrat
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import BarycentricInterpolator, FloaterHormannInterpolator

from dask_bacc.coding import lebesgue_constant
from dask_bacc.coding.barycentric import floater_hormann_weights, interpolation_matrix
from dask_bacc.coding.nodes import chebyshev_second

AT = np.linspace(-1, 1, 57)


def shuffled_subset(seed: int, total: int, count: int) -> np.ndarray:
    return np.random.default_rng(seed).permutation(chebyshev_second(total))[:count]


@pytest.mark.parametrize("degree", [0, 1, 3])
@pytest.mark.parametrize("count", [1, 2, 5, 23])
def test_floater_hormann_agrees_with_scipy(degree, count):
    nodes = shuffled_subset(count, 30, count)
    values = np.random.default_rng(0).normal(size=(count, 4))
    ours = interpolation_matrix(nodes, floater_hormann_weights(nodes, degree), AT) @ values
    order = np.argsort(nodes)
    scipy = FloaterHormannInterpolator(nodes[order], values[order], d=min(degree, count - 1))
    np.testing.assert_allclose(ours, scipy(AT), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("degree", [0, 2])
def test_floater_hormann_agrees_with_baryrat(degree):
    nodes = np.sort(shuffled_subset(1, 30, 21))
    values = np.exp(nodes) * np.sin(5 * nodes)
    ours = interpolation_matrix(nodes, floater_hormann_weights(nodes, degree), AT) @ values
    np.testing.assert_allclose(
        ours, baryrat.floater_hormann(nodes, values, degree)(AT), rtol=1e-10, atol=1e-12
    )


def test_matrix_with_polynomial_weights_agrees_with_scipy():
    nodes = shuffled_subset(2, 14, 14)
    weights = [1 / np.prod(x - np.delete(nodes, i)) for i, x in enumerate(nodes)]
    values = np.cos(3 * nodes)
    ours = interpolation_matrix(nodes, weights, AT) @ values
    np.testing.assert_allclose(ours, BarycentricInterpolator(nodes, values)(AT), atol=1e-12)


@given(st.integers(0, 10**6), st.integers(1, 25), st.integers(0, 4))
def test_partition_of_unity_and_exact_hits(seed, count, degree):
    nodes = shuffled_subset(seed, 25, count)
    weights = floater_hormann_weights(nodes, degree)
    matrix = interpolation_matrix(nodes, weights, np.concatenate([AT, nodes]))
    np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-9)
    np.testing.assert_array_equal(matrix[len(AT) :], np.eye(count))


def test_a_point_one_rounding_error_from_a_node_stays_finite():
    nodes = np.array([-1.0, 0.0, 1.0])
    near = np.array([np.nextafter(0.0, 1.0), 5e-324, np.nextafter(1.0, 0.0)])
    matrix = interpolation_matrix(nodes, floater_hormann_weights(nodes, 0), near)
    np.testing.assert_allclose(matrix, np.eye(3)[[1, 1, 2]], atol=1e-12)


def test_lebesgue_constants_of_the_literature():
    """Equispaced and Chebyshev nodes at n=100, computed with SciPy's interpolants."""
    for nodes in (np.linspace(-1, 1, 100), np.sort(chebyshev_second(100))):
        fine = (nodes[:-1, None] + np.diff(nodes)[:, None] * np.linspace(0, 1, 301)).ravel()
        for degree in (0, 1, 3):
            basis = FloaterHormannInterpolator(nodes, np.eye(100), d=degree)(fine)
            expected = np.abs(basis).sum(axis=1).max()
            assert lebesgue_constant(nodes, degree) == pytest.approx(expected, rel=2e-3)


def test_re_alternating_signs_keeps_the_lebesgue_constant_small():
    """The original signs leave poles in a subset; re-alternating over the subset does not."""
    nodes = chebyshev_second(40)
    rng = np.random.default_rng(0)
    for _ in range(20):
        kept = np.sort(rng.permutation(40)[:30])
        original = (-1.0) ** kept
        fixed = np.abs(interpolation_matrix(nodes[kept], original, AT)).sum(axis=1).max()
        assert lebesgue_constant(nodes[kept]) < 20
        if np.any(np.diff(kept) % 2 == 0):
            assert fixed > 5


def test_lebesgue_constant_ignores_order_and_repeats():
    nodes = chebyshev_second(9)
    assert lebesgue_constant(np.tile(nodes[::-1], 2)) == lebesgue_constant(nodes)
    assert lebesgue_constant([0.3]) == 1
