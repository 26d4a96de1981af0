"""What differs by chance, and what only looks so."""

from __future__ import annotations

from functools import partial
from itertools import combinations, islice

import numpy as np
import pytest

from dask_bacc import coding
from dask_bacc.coding import decode
from dask_bacc.coding.kriging.rows.sketch import sketch_rows
from dask_bacc.demo.digits import jobs_of, load_digits
from tests.strategies import SYSTEMATIC, sample


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


def test_what_rows_explain_is_no_noise():
    """Some eight results look noisy where blocks of digits are the points."""
    images = load_digits()
    features = partial(jobs_of(images)[1].func, cost=0.0)
    code, blocks = coding.get_code("systematic", 8, 12), np.stack(np.split(images, 8))
    results = {i: features(chunk) for i, chunk in enumerate(code.encode(blocks))}
    sketches = np.stack([sketch_rows(block, 0) for block in blocks])
    flat = sketches.reshape(8, -1)
    gram = flat @ flat.T
    of_eight = ({i: results[i] for i in chosen} for chosen in combinations(range(12), 8))
    noisy = (some for some in of_eight if decode(code, some, gram=gram).noise > 0)
    for some in islice(noisy, 3):
        answer = decode(code, some, rows=sketches)
        assert answer.noise == 0
        off = np.array([results[i] for i in range(8)]) - answer.blocks
        off = np.sqrt(np.mean(off**2, axis=(1, 2)))
        # The features are about one half.
        assert 0 < off.max() < 0.012
        assert (off <= 1.5 * answer.error).all()
    assert next(noisy, None)


@pytest.mark.parametrize("seed", range(3))
def test_noise_that_rows_do_not_explain_stays(seed):
    decoded, _, truth, size = noisy_results(seed, 0.1, by_rows=True)
    off = np.sqrt(np.mean((decoded.blocks - truth) ** 2, axis=(1, 2)))
    assert (off < 2 * decoded.error).all()
    assert decoded.noise == pytest.approx(size, rel=0.3)


def noisy_results(seed, level, by_rows=False):
    rng = np.random.default_rng(seed)
    blocks, functions = sample(seed, 8)
    code = SYSTEMATIC(8, 40)
    results = np.stack([functions["tanh network"](x) for x in code.encode(blocks)])
    size = level * np.sqrt(np.mean(results**2))
    flat = blocks.reshape(8, -1)
    noisy = results + size * rng.normal(size=results.shape)
    returned = {i: noisy[i] for i in rng.permutation(40)[:32].tolist()}
    known = {"rows": blocks} if by_rows else {"gram": flat @ flat.T}
    return decode(code, returned, **known), returned, results[:8], size


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


@pytest.mark.parametrize("outputs", [1, 3, 10])
@pytest.mark.parametrize("size", [1e-3, 1e-2, 1e-1])
def test_noise_that_few_outputs_do_not_show_is_in_the_bars(outputs, size):
    """A Monte Carlo mean of a few numbers: from nine results nobody tells noise from roughness."""
    code, lost, over = coding.get_code("systematic", 8, 12), 0, 0
    for seed in range(40):
        rng = np.random.default_rng([seed, outputs])
        first, second = rng.normal(size=(2, 40))
        angle = np.pi * (np.arange(8)[:, None] + 0.5) / 8
        blocks = first + np.cos(angle) * second + 0.1 * rng.normal(size=(8, 40))
        weights = rng.normal(size=(40, outputs)) / 6
        found = code.encode(blocks) @ weights + size * rng.normal(size=(12, outputs))
        gone = rng.choice(8, 3, replace=False)
        results = {i: found[i] for i in range(12) if i not in gone}
        decoded = decode(code, results, gram=blocks @ blocks.T)
        off = np.linalg.norm(decoded.blocks[gone] - (blocks @ weights)[gone])
        over += off > 3 * np.linalg.norm(decoded.error[gone]) * np.sqrt(outputs)
        lost += not np.isfinite(decoded.error).all()
    assert lost == 0
    # Without, it is five of ten numbers, and eight of one.
    assert over <= {1: 5, 3: 3, 10: 1}[outputs]
