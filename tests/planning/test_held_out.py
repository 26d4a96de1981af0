"""How far off answers will be, from answers for blocks that were tried."""

from __future__ import annotations

import numpy as np
import pytest

from dask_bacc import coding
from dask_bacc.planning.held_out import shares_of_bars
from dask_bacc.planning.survey import fitted, pick
from dask_bacc.results.joining import Cut, Joining
from dask_bacc.results.result import flat_result
from dask_bacc.worker.trial import Tried, look_at
from tests.planning.test_plan import MIXING, WEIGHTS, X, smooth

K, N = 8, 12
CODE = coding.get_code("systematic", K, N)
BLOCKS = X.reshape(K, 10, 20)
CHUNKS = CODE.encode(BLOCKS)
GRAM = BLOCKS.reshape(K, -1) @ BLOCKS.reshape(K, -1).T
SKETCHES = {j: look_at([0], block) for j, block in enumerate(BLOCKS)}
CUT = Cut(X.shape, 0)
CENTRES = np.random.default_rng(1).normal(size=(30, 200))


def kernel(block):
    """Of distances, nearly quadratic: bars are several times too wide for it."""
    return np.exp(-((block.ravel() - CENTRES) ** 2).sum(axis=1) / 2000)


def error_of(func, kept):
    """Of an answer that is made of these chunks, over the results' size."""
    decoded = coding.decode(CODE, {i: func(CHUNKS[i]) for i in kept}, gram=GRAM)
    truth = np.stack([func(block) for block in BLOCKS])
    return np.sqrt(np.mean((decoded.blocks - truth) ** 2) / np.mean(truth**2))


@pytest.mark.parametrize("func", [smooth, kernel])
@pytest.mark.parametrize("count", [6, 8])
def test_the_error_that_is_likely_is_the_one_that_is_made(func, count):
    results = {i: flat_result(func(CHUNKS[i])) for i in pick(CODE)}
    tried = {i: Tried(0.0, result.spec(), result) for i, result in results.items()}
    smoothness, _ = fitted(CODE, tried, SKETCHES, CUT)
    rng = np.random.default_rng(count)
    sets = [sorted(rng.choice(N, count, replace=False).tolist()) for _ in range(20)]
    foreseen = smoothness.error_with(CODE)
    likely = np.sqrt(np.mean([foreseen(kept).error ** 2 for kept in sets]))
    made = np.sqrt(np.mean([error_of(func, kept) ** 2 for kept in sets]))
    assert 0.5 < likely / made < 2


def test_answers_are_held_against_results_of_all_kinds():
    """Rows, several members of different sizes, one block to a number."""

    def several(block):
        mixed = np.tanh(MIXING @ block)
        return {
            "rows": np.sin(block @ WEIGHTS[:, :5]),
            "large": 1e6 * mixed,
            "small": (1e-200 * mixed).astype(np.float64),
            "short": np.round(10_000 * mixed).astype(np.int16),
            "half": (500 * mixed).astype(np.float16),
            "one": block.mean(),
        }

    results = {i: flat_result(several(CHUNKS[i])) for i in pick(CODE)}
    pairs = {i: (result.spec(), result) for i, result in results.items()}
    shares = shares_of_bars(CODE, pairs, SKETCHES, Joining("concat", (CUT,)))
    assert set(shares) == {6, 7, 8}
    assert all(0.1 < share < 3 for share in shares.values())


def test_functions_that_are_nan_of_mixtures_are_not_smooth():
    """Mixtures that are NaN count for nothing in a run, and nothing is known of the function."""
    blocks = np.random.default_rng(2).random(BLOCKS.shape)
    with np.errstate(invalid="ignore"):
        roots = np.sqrt(CODE.encode(blocks))
    results = {i: flat_result(roots[i], finite=False) for i in pick(CODE)}
    assert [i for i, result in results.items() if not result.finite] == [8, 10, 11]
    tried = {i: Tried(0.0, result.spec(), result) for i, result in results.items()}
    sketches = {j: look_at([0], block) for j, block in enumerate(blocks)}
    smoothness, _ = fitted(CODE, tried, sketches, CUT)
    assert smoothness is None
