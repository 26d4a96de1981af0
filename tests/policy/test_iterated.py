"""Simulated rounds, and the model that says how far off they are."""

from __future__ import annotations

import numpy as np
import pytest

from dask_bacc import coding
from dask_bacc.coding.kriging.rounds_likelihood import Between
from dask_bacc.coding.kriging.rounds_model import RoundsModel
from dask_bacc.policy.iterated import simulate_rounds

K, N = 8, 12
CODE = coding.get_code("systematic", K, N)
BLOCKS = np.random.default_rng(0).normal(size=(K, 20))
MODEL = RoundsModel.usual(CODE, BLOCKS @ BLOCKS.T, memory=4.0)


def test_errors_are_those_of_a_gaussian_process():
    """By the joint covariance of blocks and results, conditioned by NumPy's own solver."""
    past, turn, returned = [(0, 3), (1, 3), (9, 4), (4, 2)], 5, [2, 5, 11]
    results = [*past, *((chunk, turn) for chunk in returned)]
    points = np.vstack([np.eye(K), CODE.generator[[chunk for chunk, _ in results]]])
    when = np.array([turn] * K + [t for _, t in results], dtype=float)
    unit = np.trace(MODEL.blocks_gram) / K
    moved = np.abs(when[:, None] - when)
    whole = Between.of(points, MODEL.blocks_gram / unit, moved).covariance(MODEL.parameters)
    among = whole[K:, K:] + 1e-10 * np.eye(len(results))
    left = whole[:K, :K] - whole[:K, K:] @ np.linalg.solve(among, whole[K:, :K])
    expected = np.sqrt(left.sum() / whole[:K, :K].sum())
    assert MODEL.error(past, turn)(returned) == pytest.approx(expected, rel=1e-3)


def times(turn):
    drawn = np.random.default_rng(turn).pareto(1.5, (8, N)) + 1
    return lambda chunk, worker, attempt: float(drawn[min(attempt, 7), worker])


def simulated(**options):
    known = {"rounds": 30, "workers": N, "enough": 4, "rtol": 0.02}
    return simulate_rounds(CODE, coding.Kriging(), times, MODEL, **known | options)


def test_rounds_that_remember_are_sooner_and_as_good():
    remembering, forgetful = simulated(), simulated(keep=0)
    median = [np.median([r.run.seconds for r in found]) for found in (remembering, forgetful)]
    assert median[0] < 0.8 * median[1]
    assert max(r.error for r in remembering[1:]) <= 0.02


def test_few_chunks_are_less_work():
    def spent(found):
        return sum(r.run.worker_seconds for r in found)

    assert spent(simulated(few=True)) < 0.8 * spent(simulated())


def test_rounds_are_exact_where_nothing_else_will_do():
    assert all(r.error == 0 for r in simulated(rtol=0.0))
