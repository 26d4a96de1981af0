"""Sums over blocks by what is known of the rounds so far."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.rounds.jobs import k_means, logistic, network
from dask_bacc import coding
from dask_bacc.results.combine import combine_results
from dask_bacc.results.memory import Earlier
from dask_bacc.results.result import flat_result
from dask_bacc.results.solver import Solver
from tests.shared import along, relative_error, specs

K, N = 8, 12


@pytest.mark.parametrize("mixed", [True, False])
@pytest.mark.parametrize("make", [logistic, network, k_means])
def test_the_first_of_several_rounds_knows_how_far_off_a_sum_is(make, mixed):
    """A round by itself says only how far off it is if the errors of all blocks add up."""
    job, code = make(K), coding.get_code("systematic", K, N)
    order = np.argsort(job.order, kind="stable")
    rng = np.random.default_rng(0)
    if mixed:
        order = rng.permutation(order)
    chunks = code.encode(np.stack(np.split(job.data[order], K)))
    values = [job.func(chunk, job.start) for chunk in chunks]
    total, joining = np.sum(values[:K], axis=0), along("sum")
    off, said = np.empty((2, 12)), np.empty((2, 12))
    for draw in range(12):
        lost = [rng.integers(K), *rng.choice(N, 3, replace=False)]
        results = {i: flat_result(values[i]) for i in range(N) if i not in lost}
        for which, earlier in enumerate((None, Earlier(0))):
            solver = Solver(code, coding.Kriging(), joining, earlier=earlier)
            solved = solver.solve(specs(results), {i: [chunks[i]] for i in range(N)})
            off[which, draw] = relative_error(combine_results(solved, results, joining), total)
            said[which, draw] = solved.estimate.overall
    alone, first = off / said
    assert first.max() < 3
    assert 0.75 < np.median(first) < 1.3
    assert np.median(alone) < 0.75
    assert np.exp(np.log(said[1] / said[0]).mean()) < 0.7
    assert np.exp(np.log(off[1] / off[0]).mean()) < 1.05
