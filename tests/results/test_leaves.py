"""Results of many arrays: few leaves, and what users get back is as if each were alone."""

from __future__ import annotations

import numpy as np
import pytest

from dask_bacc import coding
from dask_bacc.results.combine import combine_results
from dask_bacc.results.joining import Cut, Joining
from dask_bacc.results.result import flat_result
from dask_bacc.results.solver import Solver
from tests.shared import relative_error

ARRAY = np.random.default_rng(0).normal(size=(48, 4))
BLOCKS = np.split(ARRAY, 8)
WEIGHTS = np.random.default_rng(1).normal(size=(4, 1000)) / 3


def numbers(block):
    return np.tanh(block @ WEIGHTS).mean(axis=0)


def solved_and_results(function, combine="stack", returned=(0, 1, 3, 4, 6, 7, 8, 9, 10, 11)):
    code = coding.Berrut(8, 12, systematic=True)
    chunks = code.encode(np.stack(BLOCKS))
    results = {i: flat_result(function(chunks[i])) for i in returned}
    joining = Joining(combine, (Cut(BLOCKS[0].shape, 0),))
    solver = Solver(code, coding.Kriging(), joining)
    specs = {i: result.spec() for i, result in results.items()}
    sketches = {i: [chunk.reshape(-1)] for i, chunk in enumerate(chunks)}
    return solver.solve(specs, sketches), results, joining


def test_one_fit_for_every_shape():
    def function(block):
        return {"list": numbers(block).tolist(), "pair": (block.T, block.T + 1), "n": 3}

    solved, *_ = solved_and_results(function)
    assert len(solved.matrices) == 2
    alone, *_ = solved_and_results(lambda block: block.T)
    assert len(alone.matrices) == 1


@pytest.mark.parametrize("count", [1, 2, 40, 1000])
def test_a_list_of_numbers_decodes_as_well_as_the_array(count):
    truth = np.stack([numbers(block)[:count] for block in BLOCKS])

    def error(function):
        solved, results, joining = solved_and_results(function)
        answer = np.stack(combine_results(solved, results, joining), axis=-1)
        return np.linalg.norm(answer.reshape(truth.shape) - truth), solved.estimate.overall

    in_list, said = error(lambda block: numbers(block)[:count].tolist())
    in_array, said_of_array = error(lambda block: [numbers(block)[:count]])
    # The numbers of a list are weighed by their sizes, so the fits are not the same.
    assert in_list < 1.5 * in_array + 1e-9
    assert in_list / np.linalg.norm(truth) < 3 * said
    assert 1 / 3 < said / said_of_array < 3


@pytest.mark.parametrize("combine", ["concat", "stack", "sum", "mean"])
def test_members_have_the_dtypes_that_they_would_have_alone(combine):
    members = {
        "half": lambda block: (block / 8).astype("f2"),
        "single": lambda block: block.astype("f4"),
        "double": np.tanh,
        "complex": lambda block: block.astype("c8") * 1j,
        "flags": lambda block: block > 0,
        "counts": lambda block: np.rint(block).astype("i8"),
    }
    solved, results, joining = solved_and_results(
        lambda block: {name: member(block) for name, member in members.items()}, combine
    )
    assert len(solved.matrices) == 1
    answer = combine_results(solved, results, joining)
    for name, member in members.items():
        solved, results, _ = solved_and_results(member, combine)
        alone = combine_results(solved, results, joining)
        assert answer[name].dtype == alone.dtype
        assert answer[name].shape == alone.shape
        if combine in ("concat", "stack"):
            own = np.concatenate([member(block) for block in BLOCKS[:2]])
            found = answer[name].reshape(48, 4)[:12]
            np.testing.assert_array_equal(found, own)


@pytest.mark.parametrize("order", [1, -1])
def test_a_small_member_counts_as_much_as_a_large_one(order):
    """A loss of millions beside an accuracy: the error says how good both are."""
    scale = np.array([1e6, 1.0])[::order]

    def function(block):
        both = np.tanh(3 * block @ WEIGHTS[:, :60]).reshape(6, 2, 30)
        return scale[0] * (1 + 1e-3 * both[:, 0]), scale[1] * both[:, 1]

    solved, results, joining = solved_and_results(function)
    answer = combine_results(solved, results, joining)
    for member in range(2):
        truth = np.stack([function(block)[member] for block in BLOCKS])
        error = relative_error(answer[member], truth)
        assert error < 3 * solved.estimate.overall
