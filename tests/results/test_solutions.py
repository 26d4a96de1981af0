"""The best of all that was found so far."""

from __future__ import annotations

import numpy as np
import pytest

from dask_bacc import coding
from dask_bacc.coding.kriging.rows.sketch import sketch_rows
from dask_bacc.results.combine import combine_results
from dask_bacc.results.joining import Cut, Joining
from dask_bacc.results.result import flat_result
from dask_bacc.results.solutions import Returned, Solutions
from dask_bacc.results.solver import Solver
from tests.shared import network


@pytest.mark.parametrize("combine", ["concat", "stack", "sum"])
def test_more_results_do_not_make_an_answer_worse_where_rows_are_not_looked_at(combine):
    """Those that came later are on their workers, or there is no time for them."""
    rng = np.random.default_rng(1)
    blocks = rng.normal(size=(8, 12, 6))
    truth = network(blocks, 5)
    code = coding.Berrut(8, 16, systematic=True)
    chunks = code.encode(blocks)
    results = {
        i: flat_result(network(chunks[i], 5)) for i in (0, 3, 5, 6, 8, 9, 10, 12, 15, 4, 11)
    }
    sketches = {i: [sketch_rows(chunks[i], 0)] for i in results}
    joining = Joining(combine, (Cut((12, 6), 0),))
    decoder = coding.get_decoder(None, code)
    solutions = Solutions(Solver(code, decoder, joining))

    def best_of(count, here):
        specs = {i: results[i].spec() for i in list(results)[:count]}
        values = {i: results[i] for i in list(results)[:here]}
        solved = solutions.best(Returned(specs, values, sketches))
        answer = combine_results(solved, results, joining)
        expected = {"concat": np.concatenate(truth), "stack": truth, "sum": truth.sum(axis=0)}
        difference = answer - expected[combine]
        return solved, np.linalg.norm(difference) / np.linalg.norm(expected[combine])

    before, error_before = best_of(9, 9)
    assert before.by_rows
    after, error_after = best_of(11, 9)
    assert after.count == 11
    assert after.chunks == sorted(results)
    if combine == "sum":
        # Of a sum one weighted sum is made, and of fewer results another.
        assert not after.by_rows
    else:
        assert after.estimate.overall <= before.estimate.overall
        assert error_after <= error_before
    assert error_after < 3 * after.estimate.overall
    everything, _ = best_of(11, 11)
    assert everything.by_rows
    if combine == "stack":
        answer = combine_results(after, results, joining)
        np.testing.assert_array_equal(answer[[0, 3, 4, 5, 6]], truth[[0, 3, 4, 5, 6]])
