from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import check_grad

from dask_bacc import coding
from dask_bacc.coding import decode
from dask_bacc.coding.kriging.kernels import FAMILIES, Geometry
from tests.strategies import SYSTEMATIC, codes, returned_sets


def relative_error(answer, truth):
    return np.linalg.norm(answer - truth) / np.linalg.norm(truth)


def sample(seed, k, kind="common mean", shape=(15, 20)):
    """Blocks, and the functions of their rows that the tests map."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(k, *shape))
    mean = rng.normal(size=shape)
    blocks = {"independent": noise, "common mean": mean + 0.5 * noise}[kind]
    weights = rng.normal(size=(shape[1], 30)) / np.sqrt(shape[1])
    outer = rng.normal(size=(30, 20)) / np.sqrt(30)
    functions = {
        "linear": lambda x: x @ weights + 1.0,
        "quadratic": lambda x: x @ x.T,
        "sigmoid": lambda x: 1 / (1 + np.exp(-x @ weights)),
        "tanh network": lambda x: np.tanh(x @ weights + 0.3) @ outer,
        "relu network": lambda x: np.maximum(x @ weights + 0.3, 0) @ outer,
    }
    return blocks, functions


def run(code, blocks, function, missing, seed):
    """Decode from random chunks; the truth and the Berrut error beside it."""
    results = [function(chunk) for chunk in code.encode(blocks)]
    returned = np.random.default_rng(seed).permutation(code.n)[missing:].tolist()
    kept = {i: results[i] for i in returned}
    flat = blocks.reshape(code.k, -1)
    return (
        decode(code, kept, "kriging", gram=flat @ flat.T),
        kept,
        np.stack([function(block) for block in blocks]),
    )


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


@pytest.mark.parametrize("name", ["berrut", "systematic", "local"])
@pytest.mark.parametrize("seed", range(12))
def test_linear_functions_are_exact_from_one_result_more_than_blocks(name, seed):
    code = coding.get_code(name, 8, 14)
    blocks, functions = sample(seed, 8)
    missing = 5 if name != "local" else 1
    decoded, _, truth = run(code, blocks, functions["linear"], missing, seed)
    assert relative_error(decoded.blocks, truth) < 1e-8


@pytest.mark.parametrize("seed", range(4))
def test_quadratic_functions_are_exact_once_determined(seed):
    """Eight Berrut-coded blocks: the rows span few products, and 32 results determine them."""
    blocks, functions = sample(seed, 8)
    decoded, _, truth = run(coding.Berrut(8, 40), blocks, functions["quadratic"], 8, seed)
    assert relative_error(decoded.blocks, truth) < 1e-8


@pytest.mark.parametrize("name", ["sigmoid", "tanh network", "relu network"])
@pytest.mark.parametrize(("n", "missing", "gain"), [(40, 8, 2.0), (16, 4, 1.3), (12, 2, 1.3)])
def test_it_is_closer_than_berrut(name, n, missing, gain):
    errors = []
    for seed in range(8):
        blocks, functions = sample(seed, 8)
        code = coding.Berrut(8, n)
        decoded, kept, truth = run(code, blocks, functions[name], missing, seed)
        berrut = decode(code, kept, "berrut").blocks
        errors.append([relative_error(berrut, truth), relative_error(decoded.blocks, truth)])
    berrut, kriging = np.median(errors, axis=0)
    assert berrut > gain * kriging


@pytest.mark.parametrize("kind", ["independent", "common mean"])
@pytest.mark.parametrize(("k", "n", "missing"), [(8, 12, 2), (16, 20, 2), (16, 24, 4)])
def test_the_error_bar_of_many_outputs_is_honest(kind, k, n, missing):
    """Predicted over actual RMS error, three hundred outputs and more."""
    ratios = []
    for seed in range(8):
        blocks, functions = sample(seed, k, kind)
        for name in ("sigmoid", "tanh network", "relu network"):
            decoded, kept, truth = run(SYSTEMATIC(k, n), blocks, functions[name], missing, seed)
            lost = [j for j in range(k) if j not in kept]
            if lost:
                actual = np.sqrt(np.mean((decoded.blocks[lost] - truth[lost]) ** 2))
                ratios.append(np.sqrt(np.mean(decoded.error[lost] ** 2)) / actual)
    assert 0.7 < np.median(ratios) < 1.4
    assert np.mean((np.array(ratios) > 0.5) & (np.array(ratios) < 2)) >= 0.95
    assert min(ratios) > 1 / 3


def test_with_as_many_results_as_blocks_the_bar_does_not_promise_a_linear_function():
    """Nothing tells linear from curved there, so a curved one must be inside the bar."""
    for seed in range(12):
        blocks, functions = sample(seed, 8)
        code = SYSTEMATIC(8, 9)
        results = [functions["relu network"](chunk) for chunk in code.encode(blocks)]
        flat = blocks.reshape(8, -1)
        kept = {i: results[i] for i in range(1, 9)}
        decoded = decode(code, kept, "kriging", gram=flat @ flat.T)
        truth = functions["relu network"](blocks[0])
        assert np.sqrt(np.mean((decoded.blocks[0] - truth) ** 2)) < 5 * decoded.error[0]


@given(codes(max_k=6), st.data())
def test_any_code_and_any_subset_gives_finite_answers(code, data):
    returned = data.draw(returned_sets(code))
    values = {i: np.random.default_rng(i).normal(size=3) for i in returned}
    decoded = decode(code, values, "kriging")
    held = [j for j in range(code.k) if j not in decoded.lost]
    assert np.isfinite(decoded.blocks[held]).all()
    assert np.isfinite(decoded.error[held]).all()
    assert (decoded.error >= 0).all()
    own = code.own_blocks[returned]
    np.testing.assert_array_equal(decoded.error[own[own >= 0]], 0)


@pytest.mark.parametrize("dtype", ["float32", "complex128"])
def test_other_dtypes(dtype):
    blocks, functions = sample(0, 8)
    code = SYSTEMATIC(8, 12)
    flat = blocks.reshape(8, -1)
    turn = np.asarray(1 + (2j if dtype == "complex128" else 0))
    results = [(turn * functions["linear"](chunk)).astype(dtype) for chunk in code.encode(blocks)]
    decoded = decode(code, dict(enumerate(results[1:], 1)), "kriging", gram=flat @ flat.T)
    assert decoded.blocks.dtype == dtype
    truth = turn * functions["linear"](blocks[0])
    assert relative_error(decoded.blocks[0], truth) < (1e-4 if dtype == "float32" else 1e-8)


def test_zero_and_constant_results():
    code = SYSTEMATIC(4, 7)
    for constant in (0.0, 3.0):
        decoded = decode(code, {i: np.full(5, constant) for i in (0, 4, 5, 6)}, "kriging")
        np.testing.assert_allclose(decoded.blocks, constant, atol=1e-6)
        assert decoded.error.max() < 1e-2


def test_the_scale_of_blocks_and_results_does_not_matter():
    blocks, functions = sample(3, 8)
    code = SYSTEMATIC(8, 12)
    results = np.stack([functions["sigmoid"](chunk) for chunk in code.encode(blocks)])
    gram = blocks.reshape(8, -1) @ blocks.reshape(8, -1).T
    kept = [0, 2, 3, 4, 6, 7, 8, 9, 10, 11]
    one = decode(code, {i: results[i] for i in kept}, "kriging", gram=gram)
    other = decode(code, {i: 1e6 * results[i] for i in kept}, "kriging", gram=1e-8 * gram)
    np.testing.assert_allclose(other.blocks, 1e6 * one.blocks, rtol=1e-4, atol=1e-2)
    np.testing.assert_allclose(other.error, 1e6 * one.error, rtol=1e-2)


def test_a_gram_of_the_wrong_shape_is_refused():
    with pytest.raises(ValueError, match=r"gram must have shape \(4, 4\), got \(3, 3\)"):
        decode(SYSTEMATIC(4, 6), {0: 1.0}, "kriging", gram=np.eye(3))
