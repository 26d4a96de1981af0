"""Decoders that solve equations, and say which blocks these do not determine."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dask_bacc import coding
from dask_bacc.coding import decode
from dask_bacc.coding.decoders import LeastSquares
from tests.strategies import codes, random_blocks, returned_sets


def results_of(code, blocks, function, returned):
    chunks = code.encode(blocks)
    return {i: function(chunks[i]) for i in returned}


def test_polynomial_agrees_with_numpys_fit():
    code = coding.Lagrange(4, 12, degree=2)
    returned = [11, 0, 3, 7, 2, 9, 5, 1]
    values = {i: np.random.default_rng(i).normal(size=3) for i in returned}
    fit = np.polyfit(code.chunk_nodes[returned], np.stack([values[i] for i in returned]), 6)
    expected = np.stack([np.polyval(column, code.data_nodes) for column in fit.T], axis=1)
    np.testing.assert_allclose(decode(code, values).blocks, expected, atol=1e-9)


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_lagrange_is_exact_at_its_threshold_and_silent_below(degree):
    code = coding.Lagrange(4, 14, degree=degree)
    blocks = random_blocks(0, 4, (5,))
    returned = np.random.default_rng(1).permutation(14)[: code.recovery_threshold].tolist()
    exact = decode(code, results_of(code, blocks, lambda x: x**degree, returned))
    np.testing.assert_allclose(exact.blocks, blocks**degree, rtol=1e-8, atol=1e-8)
    below = decode(code, results_of(code, blocks, lambda x: x**degree, returned[1:]))
    assert below.lost == (0, 1, 2, 3)
    assert np.isnan(below.blocks).all()


def test_a_polynomial_that_its_nodes_do_not_determine_is_lost():
    """Twelve neighbouring nodes of forty are enough in number and not in double precision."""
    code = coding.Lagrange(12, 40)
    chunks = code.encode(random_blocks(0, 12))
    assert decode(code, {i: chunks[i] for i in range(12)}).lost == tuple(range(12))
    spread = decode(code, {i: chunks[i] for i in range(0, 40, 3)})
    np.testing.assert_allclose(spread.blocks, random_blocks(0, 12), atol=1e-9)


@given(codes(), st.data())
def test_least_squares_is_exact_for_affine_functions_where_it_claims_to_be(code, data):
    returned = data.draw(returned_sets(code))
    blocks = random_blocks(3, code.k, (4,))
    decoded = decode(
        code, results_of(code, blocks, lambda x: 2 * x - 3, returned), "least-squares"
    )
    held = [j for j in range(code.k) if j not in decoded.lost]
    rows = code.generator[returned]
    condition = np.linalg.norm(np.linalg.pinv(rows, rcond=LeastSquares().rank_tolerance), 2)
    np.testing.assert_allclose(
        decoded.blocks[held], 2 * blocks[held] - 3, atol=1e-12 * max(condition, 1)
    )


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
@pytest.mark.parametrize("missing", [4, 8])
def test_blocks_are_lost_rather_than_made_of_rounding(dtype, missing):
    """The equations of eight neighbours have a condition of 1e7."""
    code = coding.Berrut(32, 40, systematic=True)
    blocks = random_blocks(0, 32, (40,))
    chunks = code.encode(blocks).astype(dtype)
    gone = range(16 - missing // 2, 16 + missing // 2)
    kept = {i: chunks[i] for i in range(40) if i not in gone}
    decoded = decode(code, kept, "least-squares")
    assert decoded.lost == (() if missing == 4 else tuple(gone))
    held = [j for j in range(32) if j not in decoded.lost]
    np.testing.assert_allclose(decoded.blocks[held], blocks[held], atol=1e-3)


def test_a_polynomial_in_single_precision_needs_results_that_determine_it():
    code = coding.Lagrange(8, 16)
    blocks = random_blocks(0, 8, (40,))
    chunks = code.encode(blocks)
    near, spread = range(8), range(0, 16, 2)
    double = decode(code, {i: chunks[i] for i in near})
    np.testing.assert_allclose(double.blocks, blocks, atol=1e-6)
    single = chunks.astype("float32")
    assert decode(code, {i: single[i] for i in near}).lost == tuple(range(8))
    np.testing.assert_allclose(
        decode(code, {i: single[i] for i in spread}).blocks, blocks, atol=1e-3
    )


@given(codes(max_k=6), st.data())
def test_least_squares_loses_exactly_what_the_rank_says(code, data):
    assume(not isinstance(code, coding.Lagrange))
    returned = data.draw(returned_sets(code))
    rows = code.generator[returned]
    rank = np.linalg.matrix_rank(rows, tol=1e-7)
    decoded = decode(code, {i: np.ones(1) for i in returned}, "least-squares")
    for j in range(code.k):
        grown = np.linalg.matrix_rank(np.vstack([rows, np.eye(code.k)[j]]), tol=1e-7)
        assert (j in decoded.lost) == (grown > rank)


def test_local_parity_gives_back_one_loss_in_each_group():
    code = coding.Local(6, 8)
    blocks = random_blocks(0, 6)
    chunks = code.encode(blocks)
    kept = {i: chunks[i] for i in range(8) if i not in (0, 3)}
    decoded = decode(code, kept, "least-squares")
    np.testing.assert_allclose(decoded.blocks, blocks, atol=1e-12)
    del kept[2]
    assert decode(code, kept, "least-squares").lost == (0, 2)


def test_first_copy_says_what_is_lost():
    code = coding.Repetition(3, 5)
    decoded = decode(code, {1: np.array([5.0]), 3: np.array([7.0])})
    assert decoded.lost == (2,)
    np.testing.assert_array_equal(decoded.blocks, [[7.0], [5.0], [np.nan]])
    np.testing.assert_array_equal(decoded.error, [0, 0, np.inf])
