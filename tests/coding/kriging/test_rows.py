"""Functions that treat the rows of a block one by one, and functions that do not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from dask_bacc import coding
from dask_bacc.coding import decode
from dask_bacc.coding.kriging.fitted import Fitted
from dask_bacc.coding.kriging.kernels import Geometry
from dask_bacc.coding.kriging.rows.metric import fit_stretched
from dask_bacc.coding.kriging.rows.prediction import predict_rows
from tests.shared import relative_error
from tests.strategies import sample


def decoded(code, blocks, function, lost, **options):
    """Answers from all chunks but the lost ones, the truth, and what the results were."""
    results = {i: function(chunk) for i, chunk in enumerate(code.encode(blocks)) if i not in lost}
    truth = np.stack([function(block) for block in blocks])
    return decode(code, results, "kriging", **options), truth, results


def gram(blocks):
    flat = blocks.reshape(len(blocks), -1)
    return flat @ flat.T


def pendulum(block):
    """Swings from angles and speeds, one to a row, at ten times."""
    angle, speed = block.T

    def slope(_, state):
        here, fast = state.reshape(2, -1)
        return np.concatenate([fast, -np.sin(here)])

    times = np.linspace(0, 5, 10)
    return solve_ivp(slope, (0, 5), np.concatenate([angle, speed]), "DOP853", times, rtol=1e-9).y


@pytest.mark.parametrize("name", ["sigmoid", "tanh network", "relu network"])
@pytest.mark.parametrize("kind", ["independent", "common mean"])
def test_rows_of_networks_are_told_better_and_so_is_the_error(name, kind):
    blocks, functions = sample(0, 16, kind)
    code = coding.Berrut(16, 20, systematic=True)
    by_rows, truth, _ = decoded(code, blocks, functions[name], {2, 9}, rows=blocks)
    by_blocks, _, _ = decoded(code, blocks, functions[name], {2, 9}, gram=gram(blocks))
    error = relative_error(by_rows.blocks, truth)
    assert error < 0.75 * relative_error(by_blocks.blocks, truth)
    bar = np.linalg.norm(by_rows.error) * np.sqrt(truth[0].size) / np.linalg.norm(truth)
    assert 0.5 < error / bar < 2


def test_rows_of_results_may_lie_along_another_axis():
    rng = np.random.default_rng(1)
    blocks = 0.7 * rng.normal(size=(8, 15, 2))
    code = coding.Berrut(8, 12, systematic=True)

    def function(block):
        return pendulum(block).reshape(2, 15, 10)

    by_rows, truth, _ = decoded(code, blocks, function, {1, 4}, rows=blocks)
    by_blocks, _, _ = decoded(code, blocks, function, {1, 4}, gram=gram(blocks))
    assert by_rows.blocks.shape == truth.shape
    error = relative_error(by_rows.blocks, truth)
    assert error < 0.1 * relative_error(by_blocks.blocks, truth)
    bar = np.linalg.norm(by_rows.error) * np.sqrt(truth[0].size) / np.linalg.norm(truth)
    assert error < 3 * bar < 30 * error


def test_linear_functions_of_rows_are_exact_from_as_many_results_as_blocks():
    blocks, functions = sample(2, 8, "independent")
    code = coding.Berrut(8, 9, systematic=True)
    answer, truth, _ = decoded(code, blocks, functions["linear"], {3}, rows=blocks)
    assert relative_error(answer.blocks, truth) < 1e-10
    assert answer.error[3] < 1e-4


NOT_BY_ROWS = {
    "products of rows": lambda x: x @ x.T,
    "shares of the sum over rows": lambda x: np.exp(x) / np.exp(x).sum(axis=0),
    "running maximum": lambda x: np.maximum.accumulate(x, axis=0),
    "rows in order": lambda x: np.sort(x, axis=0),
    "rows upside down": lambda x: np.tanh(x)[::-1],
}


@pytest.mark.parametrize("name", NOT_BY_ROWS)
def test_functions_that_mix_rows_are_not_told_worse_than_their_bar(name):
    ratios = []
    for seed in range(4):
        blocks, _ = sample(seed, 8, "common mean")
        code = coding.Berrut(8, 12, systematic=True)
        answer, truth, _ = decoded(code, blocks, NOT_BY_ROWS[name], {2, 5}, rows=blocks)
        by_blocks, _, _ = decoded(code, blocks, NOT_BY_ROWS[name], {2, 5}, gram=gram(blocks))
        error = np.linalg.norm(answer.blocks - truth)
        assert error < 1.2 * np.linalg.norm(by_blocks.blocks - truth)
        ratios.append(error / np.linalg.norm(answer.error) / np.sqrt(truth[0].size))
    assert max(ratios) < 2


def test_what_no_result_says_is_not_thought_known_because_all_else_is():
    # Without the middle one, any seven of the other chunks say all that the eighth does.
    code, ratios = coding.Berrut(8, 9), []
    waves = np.cos(np.pi * np.arange(4) * (np.arange(8)[:, None] + 0.5) / 8)
    for seed in range(20):
        parts = np.random.default_rng(seed).normal(size=(4, 15, 20))
        blocks = np.tensordot(waves, parts, 1)
        answer, truth, _ = decoded(code, blocks, lambda x: x @ x.T, {4}, rows=blocks)
        bar = np.linalg.norm(answer.error) * np.sqrt(truth[0].size)
        ratios.append(np.linalg.norm(answer.blocks - truth) / bar)
    assert max(ratios) < 3
    assert np.median(ratios) > 1 / 3


def test_own_results_stay_as_they_are():
    blocks, functions = sample(3, 8)
    code = coding.Berrut(8, 12, systematic=True)
    answer, _, results = decoded(code, blocks, functions["tanh network"], {2}, rows=blocks)
    for chunk, block in enumerate(code.own_blocks):
        if block >= 0 and chunk in results:
            np.testing.assert_array_equal(answer.blocks[block], results[chunk])
            assert answer.error[block] == 0
    assert answer.kernels[0].endswith("of rows")


def test_sketches_of_rows_serve_as_well():
    rng = np.random.default_rng(4)
    blocks = rng.normal(size=(8, 12, 300))
    weights = rng.normal(size=(300, 5)) / np.sqrt(300)
    projection = rng.choice([-1.0, 1.0], size=(300, 100)) / 10
    code = coding.Berrut(8, 12, systematic=True)

    def function(x):
        return np.tanh(2 * x @ weights)

    whole, truth, _ = decoded(code, blocks, function, {2}, rows=blocks)
    sketched, _, _ = decoded(code, blocks, function, {2}, rows=blocks @ projection)
    by_blocks, _, _ = decoded(code, blocks, function, {2}, gram=gram(blocks))
    error = relative_error(sketched.blocks, truth)
    assert error < 1.5 * relative_error(whole.blocks, truth)
    assert error < 1.05 * relative_error(by_blocks.blocks, truth)


@pytest.mark.parametrize("dtype", [np.complex128, np.float32])
def test_dtypes_of_results_are_kept(dtype):
    blocks, functions = sample(5, 16, "independent")
    code = coding.Berrut(16, 20, systematic=True)

    def function(x):
        turned = 1 + 1j if dtype == np.complex128 else 1
        return (turned * functions["sigmoid"](x)).astype(dtype)

    answer, truth, _ = decoded(code, blocks, function, {2}, rows=blocks)
    by_blocks, _, _ = decoded(code, blocks, function, {2}, gram=gram(blocks))
    assert answer.blocks.dtype == dtype
    assert relative_error(answer.blocks, truth) < 0.5 * relative_error(by_blocks.blocks, truth)


def test_copies_of_chunks_say_nothing_more():
    blocks, functions = sample(6, 6)
    answer, truth, _ = decoded(
        coding.Repetition(6, 12), blocks, functions["sigmoid"], {2, 8}, rows=blocks
    )
    once, _, _ = decoded(coding.Uncoded(6, 6), blocks, functions["sigmoid"], {2}, rows=blocks)
    np.testing.assert_allclose(answer.blocks, once.blocks, rtol=1e-6)
    assert relative_error(answer.blocks, truth) < 0.1


def test_rows_that_are_all_the_same_do_no_harm():
    rng = np.random.default_rng(7)
    blocks = np.repeat(rng.normal(size=(8, 1, 5)), 6, axis=1)
    code = coding.Berrut(8, 12, systematic=True)
    answer, truth, _ = decoded(code, blocks, np.tanh, {2}, rows=blocks)
    error = np.sqrt(np.mean((answer.blocks[2] - truth[2]) ** 2))
    assert np.isfinite(answer.blocks).all()
    assert error < 3 * answer.error[2]


def test_a_corrupted_result_is_put_aside_before_rows_are_looked_at():
    blocks, functions = sample(8, 8)
    code = coding.Berrut(8, 16, systematic=True)
    results = {i: functions["sigmoid"](chunk) for i, chunk in enumerate(code.encode(blocks))}
    truth = np.stack([functions["sigmoid"](block) for block in blocks])
    bad = int(code.first_copies[3])
    results[bad] = np.random.default_rng(0).uniform(size=results[bad].shape)
    answer = decode(code, results, "kriging", rows=blocks, suspects="replace")
    assert answer.suspects == (bad,)
    assert relative_error(answer.blocks, truth) < 0.01


def test_left_out_results_are_predicted_as_without_them():
    rng = np.random.default_rng(9)
    points, values = rng.normal(size=(4, 3, 2)), rng.normal(size=(5, 3, 4))
    given = rng.normal(size=(5, 3, 2))
    values = np.tanh(given @ rng.normal(size=(2, 4)))
    flat = np.concatenate([points.reshape(-1, 2), given.reshape(-1, 2)])
    geometry = Geometry.of(flat, np.eye(2))
    ensemble = Fitted.to(
        geometry, 12, values.reshape(15, 4) @ values.reshape(15, 4).T, 4, None
    ).ensemble
    found = predict_rows(ensemble, geometry, values.reshape(15, 4), 5, np.zeros(4))
    for result in range(5):
        others = np.delete(given, result, axis=0).reshape(-1, 2)
        there = np.concatenate([given[result], others])
        without = 0
        for share, fit in zip(ensemble.shares, ensemble.fits, strict=True):
            covariance = fit.covariance(Geometry.of(there, np.eye(2)))
            among = fit.results_covariance(Geometry.of(others, np.eye(2)))
            left = np.delete(values, result, axis=0).reshape(-1, 4)
            without += share * covariance[:3, 3:] @ np.linalg.solve(among, left)
        np.testing.assert_allclose(
            found.left_out.reshape(5, 3, 4)[result], values[result] - without, atol=1e-5
        )


def test_space_is_stretched_along_the_direction_in_which_a_function_varies():
    rng = np.random.default_rng(10)
    direction = np.array([3.0, 4.0, 0.0, 0.0]) / 5
    points = rng.normal(size=(60, 4)) / 2
    values = np.sin(3 * points @ direction)[:, None] * [1.0, 0.5, 0.2] + [1.0, 0.0, 0.0]
    fit = fit_stretched(rng.normal(size=(5, 4)) / 2, points, values, None)
    steepest = np.linalg.svd(fit.stretch)[0][:, 0]
    assert abs(steepest @ direction) > 0.99


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (np.ones((3, 5, 2)), r"rows must have shape \(4, rows, ...\), got \(3, 5, 2\)"),
        (np.ones(4), r"rows must have shape"),
        (np.full((4, 5, 2), np.nan), "rows have NaN"),
    ],
)
def test_bad_rows_are_refused(rows, words):
    code = coding.Berrut(4, 6)
    with pytest.raises(ValueError, match=words):
        decode(code, {i: np.ones((5, 2)) for i in range(5)}, "kriging", rows=rows)
