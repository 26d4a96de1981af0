"""Answers made of results."""

from __future__ import annotations

import numpy as np
import pytest

from dask_bacc import coding
from dask_bacc.results.combine import combine_results
from dask_bacc.results.result import flat_result
from dask_bacc.results.solver import Solver
from tests.shared import along, specs


@pytest.mark.parametrize("returned", [[0, 1, 2, 3], [0, 2, 4, 5, 7], [6]])
def test_every_way_to_combine_is_that_of_the_decoded_blocks(returned):
    code = coding.Berrut(4, 8, systematic=True)
    decoder = coding.get_decoder("berrut", code)
    values = {i: np.random.default_rng(i).normal(size=(3, 2)) for i in returned}
    blocks = coding.decode(code, values, decoder).blocks
    results = {i: flat_result({"x": v}) for i, v in values.items()}
    solved = Solver(code, decoder, along("concat")).solve(specs(results), {})
    expected = {
        "stack": blocks,
        "sum": blocks.sum(axis=0),
        "mean": blocks.mean(axis=0),
    }
    for combine, answer in expected.items():
        ours = combine_results(solved, results, along(combine))
        np.testing.assert_allclose(ours["x"], answer, atol=1e-12)
    for axis in (0, 1):
        ours = combine_results(solved, results, along("concat", axis))
        np.testing.assert_array_equal(ours["x"], np.concatenate(list(blocks), axis=axis))
