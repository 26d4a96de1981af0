"""Curves over nodes, for which any results do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import FloaterHormannInterpolator, make_smoothing_spline

from dask_bacc import coding
from dask_bacc.coding import decode
from dask_bacc.coding.decoders.spline import _cross_validated_smoother, roughness
from tests.shared import relative_error
from tests.strategies import ANY_SUBSET, node_codes, returned_sets


@pytest.mark.parametrize(("name", "degree"), [("berrut", 0), ("floater-hormann", 1)])
@pytest.mark.parametrize("count", [1, 2, 7, 20])
def test_barycentric_decoders_agree_with_scipy(name, degree, count):
    code = coding.Berrut(6, 20)
    returned = np.random.default_rng(count).permutation(20)[:count]
    results = {int(i): np.random.default_rng(i).normal(size=(2, 3)) for i in returned}
    order = returned[np.argsort(code.chunk_nodes[returned])]
    scipy = FloaterHormannInterpolator(
        code.chunk_nodes[order], np.stack([results[i] for i in order]), d=min(degree, count - 1)
    )
    np.testing.assert_allclose(
        decode(code, results, name).blocks, scipy(code.data_nodes), rtol=1e-9, atol=1e-9
    )


def test_spline_smoother_agrees_with_scipy():
    nodes = np.sort(np.random.default_rng(0).uniform(-1, 1, 12))
    values = np.random.default_rng(1).normal(size=12)
    for strength in (1e-6, 1e-3, 1.0):
        ours = np.linalg.solve(np.eye(12) + strength * roughness(nodes), values)
        scipy = make_smoothing_spline(nodes, values, lam=strength)
        np.testing.assert_allclose(ours, scipy(nodes), atol=1e-8)


def test_spline_strength_wins_the_brute_force_leave_one_out():
    """Refitting with SciPy without each result in turn finds no better strength."""
    rng = np.random.default_rng(2)
    nodes = np.sort(rng.uniform(-1, 1, 15))
    values = np.sin(3 * nodes)[:, None] + 0.2 * rng.normal(size=(15, 3))
    smoother = _cross_validated_smoother(nodes, values @ values.T)

    def leave_one_out(strength):
        error = 0.0
        for i in range(15):
            rest = np.delete(np.arange(15), i)
            for column in values.T:
                spline = make_smoothing_spline(nodes[rest], column[rest], lam=strength)
                predicted = spline(nodes[i])
                # SciPy continues the end cubic, a natural spline the straight line.
                if i in (0, 14):
                    end = nodes[rest][0 if i == 0 else -1]
                    predicted = spline(end) + (nodes[i] - end) * spline(end, 1)
                error += (column[i] - predicted) ** 2
        return error

    strengths = np.logspace(-8, 2, 60)
    best = min(leave_one_out(s) for s in strengths)
    residual = values - smoother @ values
    ours = np.sum((residual / (1 - np.diag(smoother))[:, None]) ** 2)
    assert ours <= 1.05 * best
    # The closed form is the refit: it cannot beat the best refit by more than the grid's step.
    assert ours >= 0.95 * best


@pytest.mark.parametrize("decoder", ANY_SUBSET)
@given(code=node_codes(), data=st.data())
def test_any_subset_decodes_down_to_one_and_constants_are_exact(decoder, code, data):
    returned = data.draw(returned_sets(code))
    decoded = decode(code, {i: np.full(3, 2.5) for i in returned}, decoder)
    assert decoded.lost == ()
    np.testing.assert_allclose(decoded.blocks, 2.5, rtol=1e-8)


@pytest.mark.parametrize("decoder", ANY_SUBSET)
@given(code=node_codes(), data=st.data(), scale=st.sampled_from([-3.0, 1e-9, 1e12]))
def test_order_of_arrival_and_scale_do_not_matter(decoder, code, data, scale):
    returned = data.draw(returned_sets(code))
    values = {i: np.random.default_rng(i).normal(size=4) for i in returned}
    answer = decode(code, values, decoder).blocks
    other = decode(code, {i: scale * values[i] for i in sorted(returned)}, decoder).blocks
    tolerance = 1e-6 * np.abs(scale) * np.abs(answer).max()
    np.testing.assert_allclose(other, scale * answer, atol=tolerance)


@pytest.mark.parametrize("decoder", ANY_SUBSET)
def test_repeated_nodes_count_as_their_mean(decoder):
    class Doubled(coding.Berrut):
        @property
        def chunk_nodes(self):
            return np.repeat(super().chunk_nodes[: self.n // 2], 2)

    code = Doubled(3, 12)
    values = {i: np.random.default_rng(i).normal(size=2) for i in range(12)}
    single = {2 * i: (values[2 * i] + values[2 * i + 1]) / 2 for i in range(6)}
    np.testing.assert_allclose(
        decode(code, values, decoder).blocks, decode(code, single, decoder).blocks, atol=1e-10
    )


@pytest.mark.parametrize(
    ("function", "shape"),
    [
        (lambda x: x * np.sin(x), (20,)),
        (lambda x: 1 / (1 + np.exp(-x)), (20,)),
        (lambda x: x @ np.swapaxes(x, -1, -2), (6, 5)),
    ],
    ids=["x sin x", "sigmoid", "X X^T"],
)
@pytest.mark.parametrize("missing", [0, 4])
def test_berruts_error_falls_like_one_over_n(function, shape, missing):
    rng = np.random.default_rng(0)
    blocks = rng.uniform(-1, 1, (8, *shape))
    sizes = [80, 160, 320, 640]
    errors = []
    for n in sizes:
        code = coding.Berrut(8, n)
        results = function(code.encode(blocks))
        draws = []
        for _ in range(9):
            returned = rng.permutation(n)[: n - missing]
            answer = decode(code, {int(i): results[i] for i in returned}, "berrut").blocks
            draws.append(relative_error(answer, function(blocks)))
        errors.append(np.median(draws))
    slope = np.polyfit(np.log(sizes), np.log(errors), 1)[0]
    assert -1.25 < slope < -0.9


def test_lagrange_loses_its_digits_as_n_grows_and_berrut_does_not():
    """The paper's reason for rational interpolation, on a function both schemes handle."""
    rng = np.random.default_rng(0)
    lagrange, berrut = {}, {}
    for n in (12, 48, 192):
        k = n // 3
        blocks = rng.uniform(-1, 1, (k, 50))
        exact, rational = coding.Lagrange(k, n, degree=2), coding.Berrut(k, n)
        results = [code.encode(blocks) ** 2 for code in (exact, rational)]
        draws = [[], []]
        for _ in range(9):
            returned = rng.permutation(n)[: exact.recovery_threshold].tolist()
            schemes = ((exact, "polynomial"), (rational, "berrut"))
            for (code, decoder), values, errors in zip(schemes, results, draws, strict=True):
                answer = decode(code, {i: values[i] for i in returned}, decoder).blocks
                errors.append(relative_error(answer, blocks**2))
        lagrange[n], berrut[n] = np.median(draws, axis=1)
    assert lagrange[12] < 1e-13
    assert lagrange[48] > 30 * lagrange[12]
    assert lagrange[192] > 1000 * lagrange[48]
    assert berrut[192] < 2 * berrut[12]
