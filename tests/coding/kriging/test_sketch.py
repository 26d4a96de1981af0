from __future__ import annotations

import numpy as np
import pytest

from dask_bacc import coding
from dask_bacc.coding.kriging.rows.sketch import rows_of_sketches, sketch_rows
from dask_bacc.coding.kriging.sketch import SIZE, compact, locate, sketch
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
    located = locate(code, {i: [sketch(chunks[i])] for i in returned})
    gram, unknown = located.gram, located.unknown
    np.testing.assert_array_equal(unknown, 0)
    exact = blocks @ blocks.T
    np.testing.assert_allclose(gram, exact / np.trace(exact) * 6, rtol=1e-6, atol=1e-6)


def test_a_lost_block_is_as_far_from_the_others_as_they_are():
    rng = np.random.default_rng(3)
    blocks = rng.normal(size=400) + rng.normal(size=(8, 400))
    sketches = {i: [sketch(blocks[i])] for i in range(7)}
    located = locate(coding.Uncoded(8, 8), sketches)
    gram, unknown = located.gram, located.unknown
    np.testing.assert_allclose(unknown, [0] * 7 + [1], atol=1e-12)
    apart = distances(gram)
    typical = np.median(apart[:7, :7][np.triu_indices(7, 1)])
    assert 0.4 < np.median(apart[7, :7]) / typical < 1.6


def test_arrays_count_alike_whatever_their_scale():
    rng = np.random.default_rng(4)
    first, second = rng.normal(size=(5, 30)), 1e6 * rng.normal(size=(5, 40))
    code = coding.Uncoded(5, 5)
    both = locate(code, {i: [first[i], second[i]] for i in range(5)}).gram
    expected = sum(x @ x.T / np.trace(x @ x.T) * 5 for x in (first, second))
    np.testing.assert_allclose(both, expected, atol=1e-9)


def test_groups_have_inner_products_of_their_own():
    """As each group alone would have them, and nothing between blocks of different groups."""
    code = coding.Grouped(6, 9, size=3, code=coding.Local)
    chunks = code.encode(random_blocks(0, 6, (4,)))
    returned = [0, 1, 3, 4, 6, 7, 8]
    gram = locate(code, {i: [chunks[i]] for i in returned}).gram
    for part in code.groups:
        members = range(part.chunks.start, part.chunks.stop)
        alone = {i - members.start: [chunks[i]] for i in returned if i in members}
        inside = np.ix_(part.blocks, part.blocks)
        np.testing.assert_allclose(gram[inside], locate(part.code, alone).gram, atol=1e-12)
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
    located = locate(code, {i: [chunks[i]] for i in returned})
    matrix = coding.decoding_matrix(
        code,
        returned,
        coding.get_decoder("kriging", code),
        inner=results @ results.T,
        outputs=100,
        located=located,
    )
    error = np.sqrt(np.mean((matrix.weights @ results - function(blocks)) ** 2, axis=1))
    assert error.max() > 0.01
    assert np.linalg.norm(error) < 3 * np.linalg.norm(matrix.error)


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
@pytest.mark.parametrize("shape", [(9, 40), (9, 10_000), (200, 5000)])
def test_sketches_of_rows_are_linear_and_alike_for_all_rows(dtype, shape):
    rng = np.random.default_rng(6)
    one, other = rng.normal(size=(2, *shape)).astype(dtype)
    both = sketch_rows(2 * one - 3 * other, 0)
    assert both.ndim == 2
    np.testing.assert_allclose(
        both, 2 * sketch_rows(one, 0) - 3 * sketch_rows(other, 0), rtol=1e-3, atol=1e-2
    )
    turned = sketch_rows(np.roll(one, 1, axis=0).T, 1)
    np.testing.assert_allclose(np.roll(sketch_rows(one, 0), 1, axis=0), turned, rtol=1e-6)


def test_sketches_of_rows_keep_distances():
    rng = np.random.default_rng(7)
    rows = rng.normal(size=5000) + 0.5 * rng.normal(size=(30, 5000))
    sketched = sketch_rows(rows, 0)
    upper = np.triu_indices(30, 1)
    ratio = distances(sketched @ sketched.T)[upper] / distances(rows @ rows.T)[upper]
    assert 0.75 < ratio.min() <= ratio.max() < 1.3


@pytest.mark.parametrize("name", ["berrut", "systematic", "convex"])
def test_rows_of_blocks_follow_from_any_k_chunks(name):
    rng = np.random.default_rng(8)
    blocks = rng.normal(size=(6, 5, 4)) + 3
    code = coding.get_code(name, 6, 10)
    chunks = code.encode(blocks)
    returned = rng.permutation(10)[:6]
    rows = rows_of_sketches(code, {i: [sketch_rows(chunks[i], 0)] for i in returned})
    size = np.sqrt(np.mean(np.sum(blocks**2, axis=2)))
    np.testing.assert_allclose(rows, blocks / size, rtol=1e-6, atol=1e-9)
    fewer = {i: [sketch_rows(chunks[i], 0)] for i in returned[:5]}
    assert rows_of_sketches(code, fewer) is None
    flat = {i: [compact(sketch_rows(chunks[i], 0))] for i in returned}
    assert rows_of_sketches(code, flat) is None


def test_groups_that_are_not_determined_have_no_rows():
    blocks = np.random.default_rng(9).normal(size=(8, 5, 4))
    code = coding.Grouped(8, 12, size=4, code=lambda k, n: coding.Berrut(k, n, systematic=True))
    chunks = code.encode(blocks)
    rows = rows_of_sketches(code, {i: [sketch_rows(chunks[i], 0)] for i in (0, 1, 4, 5, 6, 7, 8)})
    assert np.isfinite(rows[:4]).all()
    assert np.isnan(rows[4:]).all()


def test_rows_of_several_arrays_lie_side_by_side_if_there_are_as_many():
    code = coding.Uncoded(2, 2)
    one, other = np.ones((2, 5, 3)), np.full((2, 5, 1), 1e6)
    together = rows_of_sketches(code, {i: [one[i], other[i]] for i in range(2)})
    np.testing.assert_allclose(np.sum(together**2, axis=2), 2)
    assert rows_of_sketches(code, {i: [one[i], other[i, :4]] for i in range(2)}) is None
