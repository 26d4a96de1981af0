from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import check_grad
from scipy.special import erf

from dask_bacc import coding
from dask_bacc.coding import decode
from dask_bacc.coding.kriging.ensemble import credible_families
from dask_bacc.coding.kriging.fit import Posterior
from dask_bacc.coding.kriging.kernels import AFFINE, FAMILIES, UNIT_BIAS, Geometry, arc_sine
from dask_bacc.coding.kriging.observations import Observations
from dask_bacc.coding.kriging.sketch import locate
from tests.shared import relative_error
from tests.strategies import SYSTEMATIC, codes, returned_sets

#: A mixing of twenty numbers.
MIXING = np.random.default_rng(5).normal(size=(20, 20)) / np.sqrt(20)


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


@pytest.mark.parametrize("family", [*FAMILIES, AFFINE], ids=lambda family: family.name)
def test_gradients_of_the_posterior_are_those_of_differences(family):
    rng = np.random.default_rng(0)
    results = rng.normal(size=(6, 9))
    geometry = Geometry.of(rng.normal(size=(6, 4)), np.eye(4))
    posterior = Posterior(family, Observations(geometry, results @ results.T, 9), 9.0)
    for parameters in ([0.3, -0.2, 0.5, 0.4, -1.0], [-2.0, 1.0, 0.0, 0.0, -8.0]):
        difference = check_grad(
            lambda x: posterior.cost(x)[0], lambda x: posterior.cost(x)[1], parameters
        )
        assert difference < 1e-4


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
    # Copies return the same, or the function would be noisy and no block's error zero.
    _, kind = np.unique(code.generator, axis=0, return_inverse=True)
    values = {i: np.random.default_rng(kind.flat[i]).normal(size=3) for i in returned}
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


@pytest.mark.parametrize("constant", [0.0, 3.0])
def test_results_that_are_all_the_same_say_little_of_the_next_one(constant):
    """By the rule of three, up to 3 / m of further ones may be different."""
    code = SYSTEMATIC(4, 7)
    decoded = decode(code, {i: np.full(5, constant) for i in (0, 4, 5, 6)}, "kriging")
    np.testing.assert_allclose(decoded.blocks, constant, atol=1e-6)
    assert decoded.error[0] == 0
    assert (decoded.error[1:] >= np.sqrt(3 / 4) * max(constant, 1.0)).all()


@pytest.mark.parametrize("usual", [0.0, 10.0])
@pytest.mark.parametrize("k", [8, 24])
def test_the_bar_takes_in_the_one_block_where_a_count_is_different(usual, k):
    rng = np.random.default_rng(k)
    code = SYSTEMATIC(k, k + 4)
    gram = np.eye(k) + 0.5
    for lost in rng.permutation(k)[:3].tolist():
        results = {i: np.full(6, usual) for i in range(code.n) if i not in (lost, (lost + 1) % k)}
        decoded = decode(code, results, "kriging", gram=gram)
        truth = np.full((k, 6), usual)
        truth[lost] = 10.0 - usual
        error = np.linalg.norm(decoded.blocks - truth) / np.sqrt(6)
        assert error / (10.0 if usual else error) <= 3 * np.linalg.norm(decoded.error)


def test_linear_functions_with_numbers_that_never_vary_keep_their_small_bars():
    """As pictures with a black frame do: what varies is proof enough."""
    rng = np.random.default_rng(3)
    blocks, code = rng.normal(size=(8, 30)), SYSTEMATIC(8, 14)
    results = np.concatenate(
        [np.zeros((14, 60)), code.encode(blocks) @ MIXING[:, :5].repeat(2, 0)[:30]], axis=1
    )
    returned = {i: results[i] for i in range(14) if i not in (1, 4)}
    decoded = decode(code, returned, "kriging", gram=blocks @ blocks.T)
    assert decoded.error.max() < 1e-6
    np.testing.assert_allclose(decoded.blocks, results[:8], atol=1e-8)


#: Functions that are constant or linear on all blocks but one, and a block where they are not.
KINKED = {
    "count": lambda chunk: (chunk > 250.0).sum(axis=0),
    "mask": lambda chunk: (chunk > 250.0).ravel(),
    "clip": lambda chunk: np.clip(chunk, 250.0, 1e9),
    "flag": lambda chunk: np.array([chunk.mean() > 250.0]),
    "saturated curve": lambda chunk: np.tanh((chunk - 250.0) / 2),
    "rectified": lambda chunk: np.maximum(chunk - 250.0, 0.0),
}


@pytest.mark.parametrize("name", KINKED)
@pytest.mark.parametrize("n", [12, 16])
def test_a_result_is_not_called_corrupted_where_others_explain_each_other_exactly(name, n):
    rng = np.random.default_rng(0)
    blocks = 300 + rng.normal(size=(8, 10, 4))
    blocks[3] -= 60
    code = SYSTEMATIC(8, n)
    results = {i: KINKED[name](chunk) for i, chunk in enumerate(code.encode(blocks))}
    flat = blocks.reshape(8, -1)
    decoded = decode(code, results, "kriging", gram=flat @ flat.T)
    assert decoded.suspects == ()
    np.testing.assert_array_equal(decoded.blocks, [KINKED[name](block) for block in blocks])
    assert not decoded.error.any()


@pytest.mark.parametrize("seed", range(20))
def test_a_block_of_zeros_whose_result_is_zero_makes_it_no_surer(seed):
    """Padding, or an empty image: linear functions alone foresee it, and this is none."""
    rng = np.random.default_rng(seed)
    blocks = rng.normal(size=(4, 20))
    blocks[rng.integers(4)] = 0
    weights = rng.normal(size=(20, 100)) / 2

    def function(x):
        return np.tanh(x @ weights)

    code = coding.Berrut(4, 6, systematic=True)
    chunks = code.encode(blocks)
    results = {i: function(chunks[i]) for i in rng.permutation(6)[:4].tolist()}
    decoded = decode(code, results, "kriging", gram=blocks @ blocks.T)
    error = np.linalg.norm(decoded.blocks - function(blocks)) / np.sqrt(100)
    assert error <= 2 * np.linalg.norm(decoded.error) + 1e-12


@pytest.mark.parametrize("quiet", [1e-2, 1e-4, 1e-6])
def test_blocks_that_are_nearly_zero_make_it_no_surer(quiet):
    """The background of a detector, or a field without rain."""
    ratios = []
    for seed in range(24):
        rng = np.random.default_rng(seed)
        active = rng.permutation(8) < 4
        blocks = rng.normal(size=(8, 100)) * np.where(active, 1, quiet)[:, None]
        weights = rng.normal(size=(100, 100)) / 10
        code = SYSTEMATIC(8, 10)
        results = {i: np.sin(3 * chunk @ weights) for i, chunk in enumerate(code.encode(blocks))}
        for lost in rng.permutation(10)[:2].tolist():
            del results[lost]
        decoded = decode(code, results, "kriging", gram=blocks @ blocks.T)
        error = np.linalg.norm(decoded.blocks - np.sin(3 * blocks @ weights)) / 10
        ratios.append(error / np.linalg.norm(decoded.error) if error else 0.0)
    assert max(ratios) < 3


@pytest.mark.parametrize(("offset", "factor"), [(30.0, 1.5), (300.0, 6), (3000.0, 30), (1e6, 1e6)])
@pytest.mark.parametrize("steep", [1, 3])
def test_an_offset_of_all_blocks_costs_neither_accuracy_nor_trust(offset, factor, steep):
    """Kelvin, years and coordinates: the function has it taken off."""
    time = (np.arange(16) + 0.5) / 16
    blocks = np.cos(np.pi * time[:, None] * np.linspace(0.3, 1.5, 20)) @ np.linalg.qr(MIXING)[0]
    code = coding.Uncoded(16, 16)
    truth = np.tanh(steep * blocks @ MIXING)
    errors = {}
    for shift in (0.0, offset):
        moved = blocks + shift
        results = {i: truth[i] for i in range(16) if i not in (4, 11)}
        decoded = decode(code, results, "kriging", gram=moved @ moved.T)
        errors[shift] = np.linalg.norm(decoded.blocks - truth)
        assert errors[shift] < 3 * np.linalg.norm(decoded.error) * np.sqrt(truth.shape[1])
    # The inner products themselves are rounded to a share of the offset's square, and every kind
    # of processor rounds them differently.
    assert errors[offset] < factor * errors[0.0]


@pytest.mark.parametrize("count", [0, 1, 3])
def test_the_largest_result_of_a_skewed_function_is_not_thrown_away(count):
    """It is nearly all that the function is, and nothing tells it from a corrupted one."""
    ratios = []
    for seed in range(10):
        blocks = np.random.default_rng(seed).lognormal(size=(8, 400))
        truth = np.exp(blocks / 2)
        lost = np.argsort(np.linalg.norm(truth, axis=1))[:count]
        code = SYSTEMATIC(8, 16)
        results = {i: np.exp(c / 2) for i, c in enumerate(code.encode(blocks)) if i not in lost}
        decoded = decode(code, results, "kriging", gram=blocks @ blocks.T)
        kept = np.setdiff1d(range(8), lost)
        np.testing.assert_array_equal(decoded.blocks[kept], truth[kept])
        error = np.linalg.norm(decoded.blocks - truth) / np.sqrt(400)
        ratios.append(error / max(np.linalg.norm(decoded.error), 1e-300))
    assert max(ratios) < 3


def test_a_large_corrupted_result_is_within_the_bar():
    """It cannot be told from a function's own, and is in doubt."""
    for seed in range(10):
        rng = np.random.default_rng(seed)
        blocks = rng.normal(size=(8, 20))
        code = SYSTEMATIC(8, 14)
        results = dict(enumerate(np.tanh(0.2 * code.encode(blocks) @ MIXING)))
        results[seed % 14] = 100 * rng.normal(size=20)
        decoded = decode(code, results, "kriging", gram=blocks @ blocks.T)
        error = np.linalg.norm(decoded.blocks - np.tanh(0.2 * blocks @ MIXING)) / np.sqrt(20)
        assert error <= 3 * np.linalg.norm(decoded.error) or seed % 14 in decoded.suspects


def test_results_that_are_zero_but_for_one():
    """Whatever looks corrupted, what is left is zero."""
    code = SYSTEMATIC(8, 12)
    results = {i: np.zeros(5) for i in range(12)} | {3: np.arange(5.0)}
    decoded = decode(code, results, "kriging", gram=np.eye(8))
    error = np.abs(decoded.blocks - [results[i] for i in range(8)]).max(axis=1)
    assert (error <= 3 * decoded.error).all()


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


def test_a_gram_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="gram has NaN"):
        decode(coding.Local(2, 3), {0: 1.0, 1: 2.0}, "kriging", gram=np.full((2, 2), np.nan))


def test_a_gram_of_the_wrong_shape_is_refused():
    with pytest.raises(ValueError, match=r"gram must have shape \(4, 4\), got \(3, 3\)"):
        decode(SYSTEMATIC(4, 6), {0: 1.0}, "kriging", gram=np.eye(3))


def smooth_blocks(rng, k, shape):
    position = (np.arange(k) + 0.5) / k
    waves = np.cos(np.pi * np.arange(4)[:, None] * position)
    return np.einsum("wk,w...->k...", waves, rng.normal(size=(4, *shape)))


def test_outputs_that_repeat_each_other_do_not_make_it_surer():
    """Fifty copies of five outputs are five outputs, and their bars have to be as wide."""
    inside = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        blocks, functions = sample(seed, 8)
        code = SYSTEMATIC(8, 12)
        columns = rng.permutation(600)[:5]
        results = np.stack([functions["tanh network"](x) for x in code.encode(blocks)])
        results = np.tile(results.reshape(12, -1)[:, columns % 300], 50)
        flat = blocks.reshape(8, -1)
        decoded = decode(code, {i: results[i] for i in range(2, 12)}, gram=flat @ flat.T)
        truth = functions["tanh network"](blocks[0]).reshape(-1)[columns % 300]
        error = np.sqrt(np.mean((decoded.blocks[0][:5] - truth) ** 2))
        inside.append(error < 2 * decoded.error[0])
    assert np.mean(inside) > 0.9


@pytest.mark.parametrize("outputs", [1, 2, 5])
def test_the_error_bar_of_few_outputs_is_honest(outputs):
    bars = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        blocks, functions = sample(seed, 8, ["independent", "common mean"][seed % 2])
        name = ["sigmoid", "tanh network", "relu network"][seed % 3]
        code = SYSTEMATIC(8, 12)
        results = np.stack([functions[name](x) for x in code.encode(blocks)]).reshape(12, -1)
        kept = rng.permutation(results.shape[1])[:outputs]
        flat = blocks.reshape(8, -1)
        returned = {i: results[i, kept] for i in range(2, 12)}
        decoded = decode(code, returned, gram=flat @ flat.T)
        error = decoded.blocks[:2] - results[:2, kept]
        bars.append(np.linalg.norm(error) / np.sqrt(outputs) / np.linalg.norm(decoded.error))
    assert np.mean(np.array(bars) < 2) >= 0.9
    assert np.mean(np.array(bars) < 3) >= 0.95
    assert 0.3 < np.median(bars) < 1.2


def test_copies_among_the_chunks_do_not_ruin_the_estimate():
    """A local code with a parity for every block holds each block twice."""
    for seed in range(5):
        rng = np.random.default_rng(seed)
        blocks = smooth_blocks(rng, 8, (15, 20))
        _, functions = sample(seed, 8)
        code = coding.Local(8, 16)
        results = np.stack([functions["tanh network"](x) for x in code.encode(blocks)])
        flat = blocks.reshape(8, -1)
        kept = [i for i in range(16) if i not in (2, 10)]
        decoded = decode(code, {i: results[i] for i in kept}, gram=flat @ flat.T)
        error = np.sqrt(np.mean((decoded.blocks[2] - functions["tanh network"](blocks[2])) ** 2))
        assert error < 3 * decoded.error[2]


@pytest.mark.parametrize("outputs", [1, 50])
@pytest.mark.parametrize("code", [coding.Berrut(8, 12, systematic=True), coding.Local(8, 16)])
def test_what_differs_between_results_of_the_same_block_is_noise(code, outputs):
    """The same parameters in every block of a Monte Carlo run; a lost one is another draw."""
    ratios = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        draws = rng.normal(size=(code.n, outputs))
        returned = rng.permutation(code.n)[:9].tolist()
        decoded = decode(code, {i: draws[i] for i in returned}, "kriging", gram=np.ones((8, 8)))
        estimated = np.flatnonzero(~np.isin(np.arange(8), code.own_blocks[returned]))
        off = decoded.blocks[estimated] - rng.normal(size=(len(estimated), outputs))
        ratios += list(np.sqrt(np.mean(off**2, axis=1)) / decoded.error[estimated])
        assert decoded.noise > 0.3 or not len(estimated)
    assert np.mean(np.array(ratios) < 2) > 0.9
    assert 0.5 < np.median(ratios) < 1.3


@pytest.mark.parametrize("seed", range(3))
def test_blocks_that_differ_by_less_than_rounding_are_not_taken_for_the_same(seed):
    """A common offset of ten million hides from inner products how blocks differ."""
    rng = np.random.default_rng(seed)
    code, weights = coding.Berrut(8, 12, systematic=True), rng.normal(size=(5, 40))
    deviations = rng.normal(size=(8, 5))
    results = np.tanh(code.encode(deviations) @ weights)
    returned = rng.permutation(12)[:10].tolist()
    blocks = 1e7 + deviations
    decoded = decode(code, {i: results[i] for i in returned}, "kriging", gram=blocks @ blocks.T)
    off = np.sqrt(np.mean((decoded.blocks - np.tanh(deviations @ weights)) ** 2))
    assert off < 3 * np.sqrt(np.mean(decoded.error**2))


def test_copies_are_no_further_results():
    """Two points are two, however often they returned."""
    code = coding.Local(4, 8)
    copies = {i: np.full(5, 1.0 + i % 4) for i in (0, 4, 1, 5)}
    assert decode(code, copies, "kriging").lost == (2, 3)


def test_identical_blocks_have_identical_answers():
    block = np.random.default_rng(0).normal(size=(1, 50))
    blocks = np.repeat(block, 6, axis=0)
    code = SYSTEMATIC(6, 9)
    results = np.tanh(code.encode(blocks))
    decoded = decode(code, {i: results[i] for i in (1, 3, 6, 8)}, gram=blocks @ blocks.T)
    np.testing.assert_allclose(decoded.blocks, np.tanh(blocks), rtol=1e-9)
    assert decoded.error.max() < 1e-3


@pytest.mark.parametrize("outputs", [1, 5, 300])
@pytest.mark.parametrize("name", ["systematic", "local", "convex"])
def test_results_that_are_pure_noise_have_a_bar_as_large_as_they_are(name, outputs):
    bars = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        code = coding.get_code(name, 8, 12)
        blocks = rng.normal(size=(8, 40))
        results = rng.normal(size=(12, outputs))
        decoded = decode(code, {i: results[i] for i in range(2, 12)}, gram=blocks @ blocks.T)
        error = results[:2] - decoded.blocks[:2]
        bars.append(np.linalg.norm(error) / np.sqrt(outputs) / np.linalg.norm(decoded.error))
    assert np.mean(np.array(bars) < 3) >= 0.95


def noisy_results(seed, level):
    rng = np.random.default_rng(seed)
    blocks, functions = sample(seed, 8)
    code = SYSTEMATIC(8, 40)
    results = np.stack([functions["tanh network"](x) for x in code.encode(blocks)])
    size = level * np.sqrt(np.mean(results**2))
    flat = blocks.reshape(8, -1)
    noisy = results + size * rng.normal(size=results.shape)
    returned = {i: noisy[i] for i in rng.permutation(40)[:32].tolist()}
    return decode(code, returned, gram=flat @ flat.T), returned, results[:8], size


@pytest.mark.parametrize("seed", range(3))
def test_noise_is_told_from_roughness_where_chunks_are_close(seed):
    decoded, returned, truth, size = noisy_results(seed, 0.1)
    assert decoded.noise == pytest.approx(size, rel=0.2)
    own = [j for j in range(8) if j in returned]
    # Own results stay as they are, and their bar is what they are off by.
    np.testing.assert_array_equal(decoded.blocks[own], [returned[j] for j in own])
    off = np.sqrt(np.mean((decoded.blocks - truth) ** 2, axis=(1, 2)))
    assert (off < 2 * decoded.error).all()


@pytest.mark.parametrize("seed", range(3))
def test_functions_without_noise_are_not_said_to_have_any(seed):
    decoded, returned, _, _ = noisy_results(seed, 0.0)
    assert decoded.noise == 0
    assert all(decoded.error[j] == 0 for j in range(8) if j in returned)


@pytest.mark.parametrize("corrupted", [1, 2])
@pytest.mark.parametrize("name", ["linear", "sigmoid", "tanh network"])
def test_corrupted_results_are_found_and_do_not_harm(name, corrupted):
    for seed in range(5):
        rng = np.random.default_rng(seed)
        blocks, functions = sample(seed, 8)
        code = SYSTEMATIC(8, 8 + 2 * corrupted + 2)
        results = np.stack([functions[name](x) for x in code.encode(blocks)])
        bad = set(rng.permutation(code.n)[:corrupted].tolist())
        clean = {i: results[i] for i in range(code.n) if i not in bad}
        junk = {i: np.std(results) * rng.normal(size=results[0].shape) for i in bad}
        flat = blocks.reshape(8, -1)
        decoded = decode(code, clean | junk, gram=flat @ flat.T, suspects="replace")
        assert set(decoded.suspects) == bad
        np.testing.assert_allclose(
            decoded.blocks, decode(code, clean, gram=flat @ flat.T).blocks, rtol=1e-6, atol=1e-6
        )


@pytest.mark.parametrize("name", ["sigmoid", "tanh network"])
def test_a_result_that_looks_corrupted_is_kept_and_in_doubt(name):
    for seed in range(5):
        rng = np.random.default_rng(seed)
        blocks, functions = sample(seed, 8)
        code = SYSTEMATIC(8, 14)
        chunks = code.encode(blocks)
        results = {i: functions[name](chunks[i]) for i in range(14) if i != 6}
        size = np.sqrt(np.mean(results[0] ** 2))
        results[3] = size * rng.normal(size=results[3].shape)
        flat = blocks.reshape(8, -1)
        decoded = decode(code, results, gram=flat @ flat.T)
        truth = np.stack([functions[name](block) for block in blocks])
        assert decoded.suspects == (3,)
        np.testing.assert_array_equal(decoded.blocks[3], results[3])
        for block in (3, 6):
            error = np.sqrt(np.mean((decoded.blocks[block] - truth[block]) ** 2))
            assert error < 3 * decoded.error[block]
        assert not decoded.error[[0, 1, 2, 4, 5, 7]].any()


def test_an_unknown_treatment_of_suspects_is_refused():
    with pytest.raises(ValueError, match=r"suspects 'drop'.*'keep', 'replace'"):
        decode(SYSTEMATIC(2, 3), {0: [1.0], 2: [1.0]}, suspects="drop")


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
@pytest.mark.parametrize(("k", "n", "count"), [(16, 24, 8), (32, 48, 12)])
def test_rounding_of_chunks_that_locates_lost_blocks_is_in_the_bar(dtype, k, n, count):
    """Equations magnify it a hundred thousand times where neighbours are missing."""
    rng = np.random.default_rng(k)
    blocks = rng.normal(size=(k, 60)).astype(dtype)
    code = coding.get_code("systematic", k, n)
    chunks = code.encode(blocks)
    assert chunks.dtype == dtype
    returned = np.arange(count, n)
    located = locate(code, {i: [chunks[i]] for i in returned.tolist()}, np.finfo(dtype).eps)
    function = MIXING[:, :10].repeat(3, axis=0)
    results = chunks[returned].astype("c16") @ function
    parts = np.concatenate([results.real, results.imag], axis=1)
    matrix = coding.decoding_matrix(
        code,
        returned.tolist(),
        coding.get_decoder("kriging", code),
        inner=parts @ parts.T,
        outputs=parts.shape[1],
        located=located,
        values=parts,
    )
    truth = blocks.astype("c16") @ function
    error = np.linalg.norm(matrix.weights @ results - truth) / np.sqrt(parts.shape[1])
    assert error < 3 * np.linalg.norm(matrix.error)
    assert np.linalg.norm(matrix.error) < 100 * error


@pytest.mark.parametrize("name", ["tanh", "logistic"])
@pytest.mark.parametrize("lost", [(0, 15), (0, 1), (14, 15)])
def test_extrapolation_is_in_the_bar(name, lost):
    """Blocks on a line, whose ends are lost."""
    curve = {"tanh": np.tanh, "logistic": lambda x: 1 / (1 + np.exp(-3 * x))}[name]
    code, above = SYSTEMATIC(16, 20), 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        start, length = rng.uniform(-1, 0), rng.uniform(0.3, 6)
        blocks = length * (np.linspace(0, 1, 80).reshape(16, 5, 1) + start * (seed % 2))
        mixing = rng.normal(size=(1, 6))
        chunks = code.encode(blocks)
        results = {i: curve(chunks[i] @ mixing) for i in range(20) if i not in lost}
        decoded = decode(code, results, rows=blocks)
        truth = curve(blocks @ mixing)
        error = np.linalg.norm(decoded.blocks - truth) / np.sqrt(30)
        above += error > max(3 * np.linalg.norm(decoded.error), 1e-9 * np.linalg.norm(truth))
    assert above <= 1


@pytest.mark.parametrize("name", ["sigmoid", "relu network", "quadratic"])
@pytest.mark.parametrize("kind", ["independent", "common mean"])
def test_honest_results_are_not_put_aside(name, kind):
    for seed in range(8):
        blocks, functions = sample(seed, 8, kind)
        code = coding.Berrut(8, 16)
        results = np.stack([functions[name](x) for x in code.encode(blocks)])
        flat = blocks.reshape(8, -1)
        assert decode(code, dict(enumerate(results)), gram=flat @ flat.T).suspects == ()


def test_honest_results_of_a_steep_stretch_are_not_put_aside():
    """Trajectories that turn sharply among a few of many blocks, and hardly elsewhere."""
    for seed in range(6):
        rng = np.random.default_rng(seed)
        blocks = smooth_blocks(rng, 64, (15, 4)) / 1.6
        code = SYSTEMATIC(64, 80)
        rates = np.exp(0.4 * code.encode(blocks))
        times = np.linspace(0, 6, 20)
        results = np.sin(rates[..., :1] * times) / (0.3 + rates[..., 1:2])
        flat = blocks.reshape(64, -1)
        returned = {i: results[i] for i in rng.permutation(80)[8:].tolist()}
        assert decode(code, returned, gram=flat @ flat.T).suspects == ()


def test_without_inner_products_results_are_smooth_along_the_nodes():
    """A function of where a block stands, and nothing known of the blocks."""
    code = coding.Berrut(8, 40)
    results = np.stack([np.sin(2 * code.chunk_nodes), np.exp(code.chunk_nodes)], axis=1)
    truth = np.stack([np.sin(2 * code.data_nodes), np.exp(code.data_nodes)], axis=1)
    returned = {i: results[i] for i in range(40) if i % 5}
    decoded = decode(code, returned)
    berrut = decode(code, returned, "berrut").blocks
    assert relative_error(decoded.blocks, truth) < 1e-3 * relative_error(berrut, truth)
    assert relative_error(decoded.blocks, truth) < 1e-6


def test_many_results_are_searched_on_some_of_them():
    code = SYSTEMATIC(150, 190)
    rng = np.random.default_rng(0)
    blocks = smooth_blocks(rng, 150, (30,))
    weights = rng.normal(size=(30, 120)) / 6
    results = np.tanh(code.encode(blocks) @ weights)
    returned = {i: results[i] for i in range(190) if i % 19}
    decoded = decode(code, returned, gram=blocks @ blocks.T)
    lost = [j for j in range(150) if j not in returned]
    off = np.sqrt(np.mean((decoded.blocks[lost] - np.tanh(blocks[lost] @ weights)) ** 2))
    assert off < 1e-2
    assert off < 3 * np.sqrt(np.mean(decoded.error[lost] ** 2))


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
