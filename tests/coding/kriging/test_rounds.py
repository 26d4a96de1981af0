"""Kriging over blocks and rounds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from benchmarks.rounds.decoders import compared
from benchmarks.rounds.jobs import logistic, network
from dask_bacc import coding
from dask_bacc.coding.kriging.rounds import Rounds, remember

K, N = 8, 12
CODE = coding.get_code("systematic", K, N)


def blocks_of(seed: int) -> np.ndarray:
    """Of several rows each, that have little to do with each other."""
    return np.random.default_rng(seed).normal(size=(K, 6, 5))


def gradient(block: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Of a logistic loss, say."""
    return block.T @ (1 / (1 + np.exp(-block @ weights)) - 0.5)


def seen(seed: int, missing, rounds: int = 3, step: float = 0.05):
    """Results of rounds whose weights move a little, some of them missing, and the last sum."""
    rng = np.random.default_rng(seed)
    blocks = blocks_of(seed)
    chunks = CODE.encode(blocks)
    start, way = rng.normal(size=(2, 5))
    path = [start + step * turn * way for turn in range(rounds)]
    held = [
        (i, turn, gradient(chunks[i], path[turn]))
        for turn in range(rounds)
        for i in range(N)
        if i not in missing[turn]
    ]
    values = np.stack([value for *_, value in held])
    steps = np.linalg.norm(np.subtract.outer(path, path).diagonal(axis1=1, axis2=3), axis=-1)
    flat = blocks.reshape(K, -1)
    rounds_of = Rounds.of(
        CODE.generator,
        CODE.own_blocks,
        flat @ flat.T,
        np.array([i for i, *_ in held]),
        np.array([turn for _, turn, _ in held]),
        steps / (step * np.linalg.norm(way)),
        values @ values.T,
        values.shape[1],
    )
    return rounds_of, values, np.stack([gradient(block, path[-1]) for block in blocks])


def test_the_gradient_of_the_likelihood_is_its_derivative():
    rounds, *_ = seen(0, [{1, 9}, {2}, {0, 3, 11}])
    likelihood = rounds.likelihood()
    there = np.array([0.3, -0.4, 0.2, 0.8, -9.0, 1.5, 2.0, -1.0])
    slope = likelihood.cost(there).slope
    expected = approx_fprime(there, lambda p: likelihood.cost(p).value, 1e-6)
    np.testing.assert_allclose(slope, expected, rtol=1e-4, atol=1e-5)


def test_weights_and_covariance_are_those_of_a_gaussian_process():
    """By the textbook's formulas over the same covariance, with NumPy's own solver."""
    rounds, *_ = seen(1, [set(), {4}, {1, 5, 8}])
    found = remember(rounds)
    everywhere = np.arange(K + len(rounds.gram))
    whole = rounds.covariance(found.parameters, everywhere, everywhere)
    among = whole[K:, K:] + np.exp(found.parameters[-1]) * np.trace(whole[K:, K:]) / len(
        rounds.gram
    ) * np.eye(len(rounds.gram))
    missing = np.ix_([1, 5], [1, 5])
    np.testing.assert_allclose(
        found.weights[[1, 5]],
        np.linalg.solve(among, whole[K:, [1, 5]]).T,
        rtol=1e-4,
        atol=1e-6,
    )
    scale = np.trace(np.linalg.solve(among, rounds.gram)) / len(rounds.gram) / rounds.count
    left = whole[:K, :K] - whole[:K, K:] @ np.linalg.solve(among, whole[K:, :K])
    widened = scale * max(found.surprise**2, 1.0)
    np.testing.assert_allclose(
        found.covariance[missing], widened * left[missing], atol=1e-4 * widened
    )


@pytest.mark.parametrize("seed", range(6))
def test_what_blocks_returned_before_tells_of_them_now(seed):
    """Sums are several times nearer than by this round alone, and within three bars."""
    missing = [{0, 3, 9, 11}, {1, 4, 8, 10}, {2, 5, 6, 9}]
    rounds, values, truth = seen(seed, missing)
    found = remember(rounds)
    off = np.linalg.norm(found.weights.sum(axis=0) @ values - truth.sum(axis=0))
    bar = np.sqrt(found.variance(np.ones(K)) * values.shape[1])
    assert off < 3 * bar
    flat = blocks_of(seed).reshape(K, -1)
    fresh = dict(zip(sorted(set(range(N)) - missing[-1]), values[-8:], strict=True))
    alone = coding.decode(CODE, fresh, gram=flat @ flat.T).blocks.sum(axis=0)
    assert off < np.linalg.norm(alone - truth.sum(axis=0)) / 3


@pytest.mark.parametrize("job", [logistic, network])
def test_mixtures_that_change_in_a_way_of_their_own_do_not_narrow_bars(job):
    """Gradients at mixtures, all of which are further out than blocks, change alike."""
    found = compared(job(K), K, N, "rotating", mixed=True, rounds=18, seed=0)
    bars = found["bars"][2:]
    assert np.nanmax(bars) < 3


def test_blocks_that_have_returned_are_what_they_returned():
    rounds, values, truth = seen(3, [set(), {2}, {5, 7}])
    found = remember(rounds)
    here = [j for j in range(K) if j not in (5, 7)]
    np.testing.assert_allclose((found.weights @ values)[here], truth[here], rtol=1e-12)
    assert [j for j in range(K) if found.variance(np.eye(K)[j]) > 0] == [5, 7]
    # Their sum is off by what those are off that are missing, together.
    together = np.isin(np.arange(K), [5, 7]).astype(float)
    assert found.variance(np.ones(K)) == pytest.approx(found.variance(together))


def test_the_next_round_starts_from_the_last():
    rounds, *_ = seen(4, [{1}, {2}, {3, 4}])
    first = remember(rounds)
    again = remember(rounds, first.parameters)
    np.testing.assert_allclose(again.weights, first.weights, atol=0.05)


def test_what_more_results_would_leave_is_what_they_leave():
    """As if the chunks had returned: variances depend on where results are and not on them."""
    missing = [{1}, {2}, {0, 3, 4, 9}]
    before, *_ = seen(5, missing)
    parameters = remember(before).parameters
    after, *_ = seen(5, [*missing[:2], {3, 4}])
    then = remember(after, parameters, search=False)
    outlook = remember(before, parameters, search=False).outlook
    returned = [i for i in range(N) if i not in (3, 4)]
    found = outlook.variance(np.array(returned))
    expected = np.diag(then.covariance)[[3, 4]]
    np.testing.assert_allclose(found[3] / found[4], expected[0] / expected[1], rtol=1e-3)
    few = outlook.variance(np.array([i for i in returned if i not in (0, 9)]))
    assert (found[[3, 4]] < few[[3, 4]]).all()
    assert found[0] < 1e-3 * few[0]


def test_without_results_of_its_own_a_round_knows_what_there_was_before():
    rounds, *_ = seen(6, [set(), set(), {1, 2}])
    outlook = remember(rounds).outlook
    nothing, some = (outlook.variance(np.array(chunks, dtype=int)) for chunks in ([], [0, 9]))
    assert (some <= nothing * (1 + 1e-9)).all()
    assert some[0] < 1e-3 * nothing[0]
