from __future__ import annotations

import numpy as np
import pytest

from dask_bacc import coding
from dask_bacc.coding.kriging.sketch import SIZE, gram_of_sketches, sketch
from tests.gpu import LIBRARIES
from tests.strategies import random_blocks


def distances(gram):
    norms = np.diag(gram)
    return norms[:, None] + norms - 2 * gram


@pytest.mark.parametrize("length", [SIZE + 1, 10 * SIZE, 123_457, 2_000_000])
@pytest.mark.parametrize("smooth", [False, True])
def test_distances_are_kept(length, smooth):
    rng = np.random.default_rng(0)
    if smooth:
        blocks = rng.normal(size=(6, 3)) @ np.linspace(0, 1, length) ** np.arange(3)[:, None]
    else:
        blocks = rng.normal(size=length) + 0.3 * rng.normal(size=(6, length))
    sketched = np.stack([sketch(block) for block in blocks])
    upper = np.triu_indices(6, 1)
    ratio = distances(sketched @ sketched.T)[upper] / distances(blocks @ blocks.T)[upper]
    assert 0.9 < ratio.min() <= ratio.max() < 1.1


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
def test_the_sketch_is_linear(dtype):
    rng = np.random.default_rng(1)
    one, other = rng.normal(size=(2, 20_000)).astype(dtype)
    np.testing.assert_allclose(
        sketch(2 * one - 3 * other), 2 * sketch(one) - 3 * sketch(other), rtol=1e-3, atol=1e-3
    )


@pytest.mark.parametrize("kind", LIBRARIES)
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "int16", "bool"])
@pytest.mark.parametrize(
    ("shape", "size"), [((), 7), ((2, 3), 7), ((40, 60), 1021), ((300_000,), 7)]
)
def test_sketches_of_other_libraries_are_numpys(kind, dtype, shape, size):
    """The last shape is so long for its size that it is summed in pieces."""
    array = (10 * np.random.default_rng(5).normal(size=shape)).astype(dtype)
    ours = sketch(LIBRARIES[kind](array), size)
    expected = sketch(array, size)
    assert type(ours) is np.ndarray
    assert ours.dtype == expected.dtype
    np.testing.assert_allclose(ours, expected, rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("name", ["berrut", "systematic", "convex"])
def test_blocks_follow_from_any_k_chunks(name):
    rng = np.random.default_rng(2)
    blocks = rng.normal(size=(6, 50))
    code = coding.get_code(name, 6, 10)
    chunks = code.encode(blocks)
    returned = rng.permutation(10)[:6].tolist()
    gram, unknown = gram_of_sketches(code, {i: [sketch(chunks[i])] for i in returned})
    np.testing.assert_array_equal(unknown, 0)
    exact = blocks @ blocks.T
    np.testing.assert_allclose(gram, exact / np.trace(exact) * 6, rtol=1e-6, atol=1e-6)


def test_a_lost_block_is_as_far_from_the_others_as_they_are():
    rng = np.random.default_rng(3)
    blocks = rng.normal(size=400) + rng.normal(size=(8, 400))
    sketches = {i: [sketch(blocks[i])] for i in range(7)}
    gram, unknown = gram_of_sketches(coding.Uncoded(8, 8), sketches)
    np.testing.assert_allclose(unknown, [0] * 7 + [1], atol=1e-12)
    apart = distances(gram)
    typical = np.median(apart[:7, :7][np.triu_indices(7, 1)])
    assert 0.4 < np.median(apart[7, :7]) / typical < 1.6


def test_arrays_count_alike_whatever_their_scale():
    rng = np.random.default_rng(4)
    first, second = rng.normal(size=(5, 30)), 1e6 * rng.normal(size=(5, 40))
    code = coding.Uncoded(5, 5)
    both, _ = gram_of_sketches(code, {i: [first[i], second[i]] for i in range(5)})
    expected = sum(x @ x.T / np.trace(x @ x.T) * 5 for x in (first, second))
    np.testing.assert_allclose(both, expected, atol=1e-9)


def test_groups_have_inner_products_of_their_own():
    """As each group alone would have them, and nothing between blocks of different groups."""
    code = coding.Grouped(6, 9, size=3, code=coding.Local)
    chunks = code.encode(random_blocks(0, 6, (4,)))
    returned = [0, 1, 3, 4, 6, 7, 8]
    gram, _ = gram_of_sketches(code, {i: [chunks[i]] for i in returned})
    for part in code.groups:
        members = range(part.chunks.start, part.chunks.stop)
        alone = {i - members.start: [chunks[i]] for i in returned if i in members}
        inside = np.ix_(part.blocks, part.blocks)
        np.testing.assert_allclose(gram[inside], gram_of_sketches(part.code, alone)[0], atol=1e-12)
        gram[inside] = 0
    assert not gram.any()


@pytest.mark.parametrize("name", ["systematic", "local"])
@pytest.mark.parametrize("gone", [(1, 2, 3, 4, 5, 24, 25, 26, 27), (1, 3, 4, 24, 25, 27, 28)])
@pytest.mark.parametrize("first", [0, 24])
def test_the_error_counts_what_is_not_known_of_the_blocks(name, gone, first):
    """On a line that the results see densely, and of which the lost blocks are not known to be."""
    code = coding.get_code(name, 24, 30)
    blocks = first + np.arange(24.0)[:, None]

    def function(x):
        return np.tanh(x / 50) * np.ones(100)

    chunks = code.encode(blocks)
    returned = [i for i in range(30) if i not in gone]
    results = function(chunks[returned])
    gram, unknown = gram_of_sketches(code, {i: [chunks[i]] for i in returned})
    matrix = coding.decoding_matrix(
        code,
        returned,
        coding.get_decoder("kriging", code),
        inner=results @ results.T,
        outputs=100,
        gram=gram,
        unknown=unknown,
    )
    error = np.sqrt(np.mean((matrix.weights @ results - function(blocks)) ** 2, axis=1))
    assert error.max() > 0.01
    assert np.linalg.norm(error) < 3 * np.linalg.norm(matrix.error)
