"""How close answers are, and on what that depends or does not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dask_bacc import coding
from dask_bacc.coding import decode
from tests.shared import relative_error
from tests.strategies import (
    MIXING,
    SYSTEMATIC,
    codes,
    decoded_at_random,
    returned_sets,
    sample,
    smooth_blocks,
)


@pytest.mark.parametrize("name", ["berrut", "systematic", "local"])
@pytest.mark.parametrize("seed", range(12))
def test_linear_functions_are_exact_from_one_result_more_than_blocks(name, seed):
    code = coding.get_code(name, 8, 14)
    blocks, functions = sample(seed, 8)
    missing = 5 if name != "local" else 1
    decoded, _, truth = decoded_at_random(code, blocks, functions["linear"], missing, seed)
    assert relative_error(decoded.blocks, truth) < 1e-8


@pytest.mark.parametrize("seed", range(4))
def test_quadratic_functions_are_exact_once_determined(seed):
    """Eight Berrut-coded blocks: the rows span few products, and 32 results determine them."""
    blocks, functions = sample(seed, 8)
    decoded, _, truth = decoded_at_random(
        coding.Berrut(8, 40), blocks, functions["quadratic"], 8, seed
    )
    assert relative_error(decoded.blocks, truth) < 1e-8


@pytest.mark.parametrize("name", ["sigmoid", "tanh network", "relu network"])
@pytest.mark.parametrize(("n", "missing", "gain"), [(40, 8, 2.0), (16, 4, 1.3), (12, 2, 1.3)])
def test_it_is_closer_than_berrut(name, n, missing, gain):
    errors = []
    for seed in range(8):
        blocks, functions = sample(seed, 8)
        code = coding.Berrut(8, n)
        decoded, kept, truth = decoded_at_random(code, blocks, functions[name], missing, seed)
        berrut = decode(code, kept, "berrut").blocks
        errors.append([relative_error(berrut, truth), relative_error(decoded.blocks, truth)])
    berrut, kriging = np.median(errors, axis=0)
    assert berrut > gain * kriging


@given(codes(max_k=6), st.data())
def test_any_code_and_any_subset_gives_finite_answers(code, data):
    returned = data.draw(returned_sets(code))
    # Copies return the same; what has no rhyme may be taken for noise all the same.
    _, kind = np.unique(code.generator, axis=0, return_inverse=True)
    values = {i: np.random.default_rng(kind.flat[i]).normal(size=3) for i in returned}
    decoded = decode(code, values, "kriging")
    held = [j for j in range(code.k) if j not in decoded.lost]
    assert np.isfinite(decoded.blocks[held]).all()
    assert np.isfinite(decoded.error[held]).all()
    assert (decoded.error >= 0).all()
    own = code.own_blocks[returned]
    np.testing.assert_array_equal(decoded.error[own[own >= 0]], decoded.noise)


@pytest.mark.parametrize("dtype", ["float32", "complex128"])
def test_other_dtypes(dtype):
    blocks, functions = sample(0, 8)
    code = SYSTEMATIC(8, 12)
    flat = blocks.reshape(8, -1)
    turn = np.asarray(1 + (2j if dtype == "complex128" else 0))
    results = [(turn * functions["linear"](chunk)).astype(dtype) for chunk in code.encode(blocks)]
    decoded = decode(code, dict(enumerate(results[1:], 1)), "kriging", gram=flat @ flat.T)
    assert decoded.blocks.dtype == dtype
    truth = turn * functions["linear"](blocks[0])
    assert relative_error(decoded.blocks[0], truth) < (1e-4 if dtype == "float32" else 1e-8)


@pytest.mark.parametrize(("offset", "factor"), [(30.0, 1.5), (300.0, 6), (3000.0, 30), (1e6, 1e6)])
@pytest.mark.parametrize("steep", [1, 3])
def test_an_offset_of_all_blocks_costs_neither_accuracy_nor_trust(offset, factor, steep):
    """Kelvin, years and coordinates: the function has it taken off."""
    time = (np.arange(16) + 0.5) / 16
    blocks = np.cos(np.pi * time[:, None] * np.linspace(0.3, 1.5, 20)) @ np.linalg.qr(MIXING)[0]
    code = coding.Uncoded(16, 16)
    truth = np.tanh(steep * blocks @ MIXING)
    errors = {}
    for shift in (0.0, offset):
        moved = blocks + shift
        results = {i: truth[i] for i in range(16) if i not in (4, 11)}
        decoded = decode(code, results, "kriging", gram=moved @ moved.T)
        errors[shift] = np.linalg.norm(decoded.blocks - truth)
        assert errors[shift] < 3 * np.linalg.norm(decoded.error) * np.sqrt(truth.shape[1])
    # The inner products themselves are rounded to a share of the offset's square, and every kind
    # of processor rounds them differently.
    assert errors[offset] < factor * errors[0.0]


def test_the_scale_of_blocks_and_results_does_not_matter():
    blocks, functions = sample(3, 8)
    code = SYSTEMATIC(8, 12)
    results = np.stack([functions["sigmoid"](chunk) for chunk in code.encode(blocks)])
    gram = blocks.reshape(8, -1) @ blocks.reshape(8, -1).T
    kept = [0, 2, 3, 4, 6, 7, 8, 9, 10, 11]
    one = decode(code, {i: results[i] for i in kept}, "kriging", gram=gram)
    other = decode(code, {i: 1e6 * results[i] for i in kept}, "kriging", gram=1e-8 * gram)
    np.testing.assert_allclose(other.blocks, 1e6 * one.blocks, rtol=1e-4, atol=1e-2)
    np.testing.assert_allclose(other.error, 1e6 * one.error, rtol=1e-2)


def test_a_gram_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="gram has NaN"):
        decode(coding.Local(2, 3), {0: 1.0, 1: 2.0}, "kriging", gram=np.full((2, 2), np.nan))


def test_a_gram_of_the_wrong_shape_is_refused():
    with pytest.raises(ValueError, match=r"gram must have shape \(4, 4\), got \(3, 3\)"):
        decode(SYSTEMATIC(4, 6), {0: 1.0}, "kriging", gram=np.eye(3))


def test_copies_are_no_further_results():
    """Two points are two, however often they returned."""
    code = coding.Local(4, 8)
    copies = {i: np.full(5, 1.0 + i % 4) for i in (0, 4, 1, 5)}
    assert decode(code, copies, "kriging").lost == (2, 3)


def test_identical_blocks_have_identical_answers():
    block = np.random.default_rng(0).normal(size=(1, 50))
    blocks = np.repeat(block, 6, axis=0)
    code = SYSTEMATIC(6, 9)
    results = np.tanh(code.encode(blocks))
    decoded = decode(code, {i: results[i] for i in (1, 3, 6, 8)}, gram=blocks @ blocks.T)
    np.testing.assert_allclose(decoded.blocks, np.tanh(blocks), rtol=1e-9)
    assert decoded.error.max() < 1e-3


def test_without_inner_products_results_are_smooth_along_the_nodes():
    """A function of where a block stands, and nothing known of the blocks."""
    code = coding.Berrut(8, 40)
    results = np.stack([np.sin(2 * code.chunk_nodes), np.exp(code.chunk_nodes)], axis=1)
    truth = np.stack([np.sin(2 * code.data_nodes), np.exp(code.data_nodes)], axis=1)
    returned = {i: results[i] for i in range(40) if i % 5}
    decoded = decode(code, returned)
    berrut = decode(code, returned, "berrut").blocks
    assert relative_error(decoded.blocks, truth) < 1e-3 * relative_error(berrut, truth)
    assert relative_error(decoded.blocks, truth) < 1e-6


def test_many_results_are_searched_on_some_of_them():
    code = SYSTEMATIC(150, 190)
    rng = np.random.default_rng(0)
    blocks = smooth_blocks(rng, 150, (30,))
    weights = rng.normal(size=(30, 120)) / 6
    results = np.tanh(code.encode(blocks) @ weights)
    returned = {i: results[i] for i in range(190) if i % 19}
    decoded = decode(code, returned, gram=blocks @ blocks.T)
    lost = [j for j in range(150) if j not in returned]
    off = np.sqrt(np.mean((decoded.blocks[lost] - np.tanh(blocks[lost] @ weights)) ** 2))
    assert off < 1e-2
    assert off < 3 * np.sqrt(np.mean(decoded.error[lost] ** 2))
