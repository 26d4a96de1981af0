"""Error bars take in the error, and are not much larger."""

from __future__ import annotations

import numpy as np
import pytest

from dask_bacc import coding
from dask_bacc.coding import decode
from dask_bacc.coding.kriging.sketch import locate
from tests.strategies import MIXING, SYSTEMATIC, decoded_at_random, sample, smooth_blocks


@pytest.mark.parametrize("kind", ["independent", "common mean"])
@pytest.mark.parametrize(("k", "n", "missing"), [(8, 12, 2), (16, 20, 2), (16, 24, 4)])
def test_the_error_bar_of_many_outputs_is_honest(kind, k, n, missing):
    """Predicted over actual RMS error, three hundred outputs and more."""
    ratios = []
    for seed in range(8):
        blocks, functions = sample(seed, k, kind)
        for name in ("sigmoid", "tanh network", "relu network"):
            decoded, kept, truth = decoded_at_random(
                SYSTEMATIC(k, n), blocks, functions[name], missing, seed
            )
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
