"""Sums over blocks by what is known of the rounds so far."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.rounds.first import drawn
from benchmarks.rounds.jobs import k_means, logistic, network
from dask_bacc import coding
from dask_bacc.results.memory import Earlier
from dask_bacc.results.result import flat_result
from dask_bacc.results.solver import Solver
from tests.shared import along, specs

K, N = 8, 12
CODE = coding.get_code("systematic", K, N)
JOINING = along("sum")


def solver_of(earlier):
    return Solver(CODE, coding.Kriging(), JOINING, earlier=earlier)


def gradients(seed):
    """Chunks, and of each the gradient of a logistic loss."""
    blocks = np.random.default_rng(seed).normal(size=(K, 12, 40))
    chunks = CODE.encode(blocks)
    weights = np.random.default_rng(seed + 1).normal(size=40)
    return chunks, [c.T @ (1 / (1 + np.exp(-c @ weights)) - 0.5) for c in chunks]


@pytest.mark.parametrize("mixed", [True, False])
@pytest.mark.parametrize("make", [logistic, network, k_means])
def test_the_first_of_several_rounds_knows_how_far_off_a_sum_is(make, mixed):
    """A round by itself says only how far off it is if the errors of all blocks add up."""
    off, said = drawn(make(K), K, mixed, 12)
    alone, first = off / said
    assert first.max() < 3
    assert 0.75 < np.median(first) < 1.3
    assert np.median(alone) < 0.75
    assert np.exp(np.log(said[1] / said[0]).mean()) < 0.7
    assert np.exp(np.log(off[1] / off[0]).mean()) < 1.05


def test_the_order_of_arrival_does_not_matter_to_a_first_round():
    for seed in range(8):
        chunks, values = gradients(seed)
        sketches = {i: [chunks[i]] for i in range(N)}
        order = np.random.default_rng(seed).permutation(N)[:9].tolist()
        known = {i: flat_result(values[i]).spec() for i in order}
        one_by_one, at_once = solver_of(Earlier(0)), solver_of(Earlier(0))
        for count in range(4, 9):
            one_by_one.solve({i: known[i] for i in order[:count]}, sketches)
        found = one_by_one.solve(known, sketches, thorough=True)
        same = at_once.solve(dict(sorted(known.items())), sketches, thorough=True)
        assert found.estimate.overall == pytest.approx(same.estimate.overall, rel=1e-6)


def test_one_number_tells_too_little_of_a_first_round():
    chunks, values = gradients(0)
    results = {i: flat_result(np.sum(values[i] ** 2, keepdims=True)) for i in range(N) if i != 2}
    sketches = {i: [chunks[i]] for i in range(N)}
    alone, first = (solver_of(e).solve(specs(results), sketches) for e in (None, Earlier(0)))
    assert first.estimate.overall == alone.estimate.overall > 0


def test_a_first_round_with_a_result_that_looks_corrupted_is_decoded_by_itself():
    rng = np.random.default_rng(1)
    code = coding.get_code("systematic", K, 16)
    phase = np.arange(48)[:, None] / 20 * rng.uniform(0.5, 2, size=5) + rng.uniform(0, 6, 5)
    chunks = code.encode(np.stack(np.split(np.sin(phase), K)))
    weights = rng.normal(size=(5, 40))
    values = [np.tanh(chunk @ weights).sum(axis=0) for chunk in chunks]
    values[9] = values[9] + np.abs(values[0]).max() * rng.normal(size=40)
    results = {i: flat_result(values[i]) for i in range(16) if i != 2}
    found = []
    for earlier in (None, Earlier(0)):
        solver = Solver(code, coding.Kriging(), JOINING, earlier=earlier)
        solved = solver.solve(specs(results), {i: [chunks[i]] for i in range(16)})
        found.append(solved.estimate)
    assert found[0].suspects == found[1].suspects == (9,)
    assert found[0].overall == found[1].overall
