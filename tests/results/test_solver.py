"""How results decode, all leaves and arrivals together."""

from __future__ import annotations

import numpy as np
import pytest

from dask_bacc import coding
from dask_bacc.results.combine import combine_results
from dask_bacc.results.result import flat_result
from dask_bacc.results.solver import Solver
from tests.shared import along, relative_error, specs


def test_a_lost_block_is_lost_in_every_leaf():
    solver = Solver(coding.Repetition(3, 4), coding.FirstCopy(), along("concat"))
    spec = flat_result((1.0, 2.0)).spec()
    solved = solver.solve({0: spec, 2: spec}, {})
    np.testing.assert_array_equal(solved.estimate.by_block, [0, np.inf, 0])


@pytest.mark.parametrize("combine", ["sum", "mean"])
@pytest.mark.parametrize("offset", [0.0, 3.0])
def test_the_error_of_a_sum_is_that_of_the_sum(combine, offset):
    """Blocks may cancel, and errors of blocks add up."""
    code = coding.Berrut(8, 14, systematic=True)
    ratios = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        blocks = rng.normal(size=(8, 10)) + rng.normal(size=10)
        weights = rng.normal(size=(10, 100)) / 3

        def function(x, weights=weights):
            return np.tanh(x @ weights) ** 2 + offset

        chunks = code.encode(blocks)
        returned = [0, 1, 2, 3, *range(8, 14)]
        results = {i: flat_result(function(chunks[i])) for i in returned}
        solver = Solver(code, coding.Kriging(), along(combine))
        solved = solver.solve(specs(results), {i: [chunks[i]] for i in range(14)})
        answer = combine_results(solved, results, along(combine))
        truth = function(blocks).sum(axis=0) / (8 if combine == "mean" else 1)
        off = relative_error(answer, truth)
        ratios.append(off / solved.estimate.overall)
    assert max(ratios) < 1.5
    assert np.median(ratios) > 0.05


@pytest.mark.parametrize("decoder", ["kriging", "spline", "berrut"])
def test_results_that_arrive_one_by_one_decode_as_all_at_once(decoder):
    code = coding.Berrut(4, 9, systematic=True)
    rng = np.random.default_rng(1)
    values = {i: rng.normal(size=(3, 2)) for i in (8, 1, 5, 4, 6, 2)}
    solver = Solver(code, coding.get_decoder(decoder, code), along("concat"))
    results, known = {}, {}
    for i, value in values.items():
        results[i] = flat_result(value)
        known[i] = results[i].spec()
        solver.solve(known, {})
    solved = solver.solve(known, {}, thorough=True)
    whole = coding.decode(code, values, decoder)
    answer = combine_results(solved, results, along("stack"))
    np.testing.assert_allclose(answer, whole.blocks, rtol=1e-6, atol=1e-9)
    scale = np.sqrt(np.mean([v**2 for v in values.values()]))
    if decoder == "kriging":
        np.testing.assert_allclose(
            solved.estimate.by_block, whole.error / scale, rtol=1e-6, atol=1e-9
        )


def test_what_was_fitted_before_hides_no_function_that_fits_now():
    """Quadratic functions are found as soon as results can contradict them."""
    rng = np.random.default_rng(1)
    code = coding.Berrut(4, 20, systematic=True)
    chunks = code.encode(rng.normal(size=(4, 40)))
    warm, results, sketches = Solver(code, coding.Kriging(), along("stack")), {}, {}
    for chunk in [i for i in rng.permutation(20).tolist() if i not in (2, 3)]:
        results[chunk] = flat_result(chunks[chunk] ** 2).spec()
        sketches[chunk] = [chunks[chunk]]
        if len(results) >= 4:
            error = warm.solve(results, sketches).estimate.overall
            cold = Solver(code, coding.Kriging(), along("stack"))
            afresh = cold.solve(results, sketches).estimate.overall
            assert error < 3 * afresh + 1e-6
    assert error < 1e-6
