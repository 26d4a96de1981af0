"""Results that look corrupted, be they or not."""

from __future__ import annotations

import numpy as np
import pytest

from dask_bacc import coding
from dask_bacc.coding import decode
from tests.strategies import MIXING, SYSTEMATIC, sample, smooth_blocks

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
