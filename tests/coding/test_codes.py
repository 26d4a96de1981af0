from __future__ import annotations

import array_api_strict as strict
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dask_bacc import coding
from tests.strategies import SYSTEMATIC, codes, random_blocks, returned_sets


def berrut_by_hand(alpha, beta):
    """The paper's formula, one entry at a time."""
    matrix = np.empty((len(beta), len(alpha)))
    for i, b in enumerate(beta):
        terms = [(-1.0) ** j / (b - a) for j, a in enumerate(alpha)]
        matrix[i] = np.array(terms) / sum(terms)
    return matrix


@pytest.mark.parametrize(("k", "n"), [(3, 8), (8, 12), (10, 40)])
def test_berrut_generator_is_the_papers(k, n):
    alpha = [np.cos((2 * j + 1) * np.pi / (2 * k)) for j in range(k)]
    beta = [np.cos(i * np.pi / (n - 1)) for i in range(n)]
    np.testing.assert_allclose(
        coding.Berrut(k, n).generator, berrut_by_hand(alpha, beta), atol=1e-12
    )


def test_systematic_berrut_parity_is_the_papers_formula_on_its_nodes():
    code = SYSTEMATIC(8, 12)
    np.testing.assert_array_equal(code.generator[:8], np.eye(8))
    np.testing.assert_allclose(
        code.generator[8:], berrut_by_hand(code.data_nodes, code.chunk_nodes[8:]), atol=1e-12
    )


def test_berrut_is_systematic_by_accident_where_nodes_coincide():
    """With n = 1 (mod 2k) every data node is a chunk node."""
    code = coding.Berrut(4, 17)
    assert sorted(code.own_blocks[code.own_blocks >= 0]) == [0, 1, 2, 3]


def test_an_overshooting_row_is_no_unit_row():
    code = coding.Berrut(4, 9)
    assert (code.generator > 1).any()
    unit = np.flatnonzero((np.abs(code.generator) > 0).sum(axis=1) == 1)
    assert set(np.flatnonzero(code.own_blocks >= 0)) == set(unit)


@given(codes())
def test_rows_sum_to_one_and_generator_is_read_only(code):
    np.testing.assert_allclose(code.generator.sum(axis=1), 1, atol=1e-12)
    assert code.generator.shape == (code.n, code.k)
    with pytest.raises(ValueError, match="read-only"):
        code.generator[0, 0] = 2


@given(codes(), st.integers(0, 1000))
def test_encode_is_the_generators_product_and_unit_rows_are_copies(code, seed):
    blocks = random_blocks(seed, code.k, [(2, 3), ()][seed % 2])
    chunks = code.encode(blocks)
    brute = [sum(code.generator[i, j] * blocks[j] for j in range(code.k)) for i in range(code.n)]
    np.testing.assert_allclose(chunks, brute, atol=1e-12)
    for chunk, block in enumerate(code.own_blocks):
        if block >= 0:
            np.testing.assert_array_equal(chunks[chunk], blocks[block])


@given(codes())
def test_row_lists_what_a_chunk_is_made_of(code):
    for chunk in range(code.n):
        blocks, coefficients = code.row(chunk)
        row = np.zeros(code.k)
        row[blocks] = coefficients
        np.testing.assert_array_equal(row, code.generator[chunk])


@pytest.mark.parametrize("name", ["systematic", "local", "convex", "repetition", "uncoded"])
def test_systematic_codes_start_with_the_blocks(name):
    code = coding.get_code(name, 6, 6 if name == "uncoded" else 9)
    np.testing.assert_array_equal(code.generator[:6], np.eye(6))


@pytest.mark.parametrize("k", [2, 5, 8])
def test_convex_chunks_stay_in_the_hull_and_every_parity_differs(k):
    code = coding.Convex(k, 3 * k - 1)
    assert (code.generator >= 0).all()
    parity = code.generator[k:]
    distances = np.abs(parity[:, None] - parity).max(axis=2) + np.eye(len(parity))
    assert distances.min() > 1e-6


def test_local_uses_every_block_in_one_parity():
    parity = coding.Local(10, 13).generator[10:]
    np.testing.assert_array_equal((parity > 0).sum(axis=0), 1)
    assert sorted((parity > 0).sum(axis=1)) == [3, 3, 4]


def test_lagrange_generator_interpolates_polynomials():
    code = coding.Lagrange(5, 12, degree=2)
    coefficients = [0.3, -1.0, 2.0, 0.5, 0.25]
    np.testing.assert_allclose(
        code.generator @ np.polyval(coefficients, code.data_nodes),
        np.polyval(coefficients, code.chunk_nodes),
        atol=1e-12,
    )


def test_grouped_is_block_diagonal_and_covers_everything():
    code = coding.Grouped(10, 14, size=4, code=coding.Local)
    assert [(part.code.k, part.code.n) for part in code.groups] == [(4, 6), (3, 4), (3, 4)]
    assert sum(part.code.n for part in code.groups) == 14
    outside = code.generator.copy()
    for part in code.groups:
        np.testing.assert_array_equal(outside[part.chunks, part.blocks], part.code.generator)
        outside[part.chunks, part.blocks] = 0
    assert not outside.any()


def test_encoding_keeps_precision_and_converts_counts():
    code = SYSTEMATIC(2, 3)
    for dtype in ("float32", "complex64", "complex128"):
        assert code.encode(np.ones((2, 4), dtype)).dtype == dtype
    for dtype in ("int8", "uint64", "bool"):
        assert code.encode(np.ones((2, 4), dtype)).dtype == np.float64


def test_a_nan_reaches_only_the_chunks_made_of_it():
    blocks = np.ones((4, 2))
    blocks[0] = np.nan
    bad = np.isnan(coding.Local(4, 6).encode(blocks)).any(axis=1)
    np.testing.assert_array_equal(bad, [True, False, False, False, True, False])


def test_codes_are_values():
    assert coding.Berrut(3, 5) == coding.Berrut(3, 5) != SYSTEMATIC(3, 5)
    assert repr(coding.Lagrange(2, 5, degree=3)) == "Lagrange(k=2, n=5, degree=3)"


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: coding.Berrut(4, 3), ValueError, "n must be at least 4"),
        (lambda: coding.Berrut(0, 3), ValueError, "at least 1, got 0"),
        (lambda: coding.Berrut(2.5, 3), TypeError, "k must be an integer, got float"),
        (lambda: coding.Local(2, 5), ValueError, "at most 2k=4"),
        (lambda: coding.Convex(2, 6), ValueError, "at most 3k-1=5"),
        (lambda: coding.Uncoded(2, 3), ValueError, "n=k=2"),
        (lambda: coding.Lagrange(4, 6, degree=2), ValueError, "= 7 results, but n=6"),
        (lambda: coding.Lagrange(4, 6, degree=0), ValueError, "degree must be at least 1"),
        (lambda: coding.Grouped(4, 6, size=0, code=coding.Local), ValueError, "size"),
        (lambda: coding.Grouped(4, 14, size=2, code=coding.Local), ValueError, "at most 2k=4"),
        (
            lambda: coding.Reordered(SYSTEMATIC(2, 3), (0, 0)),
            ValueError,
            "each of the blocks",
        ),
        (lambda: coding.similarity_order(np.ones((2, 3))), ValueError, "square"),
        (lambda: coding.similarity_order([[np.nan]]), ValueError, "NaN"),
        (lambda: coding.get_code("lagrang", 2, 3), ValueError, "known codes: berrut, systematic"),
        (lambda: coding.get_code(coding.Local(2, 3), 2, 4), ValueError, "does not fit k=2"),
        (lambda: coding.get_code(3, 2, 4), TypeError, "a name or a Code, got int"),
        (lambda: SYSTEMATIC(2, 3).encode(np.ones((3, 2))), ValueError, "length k=2"),
        (lambda: SYSTEMATIC(2, 3).encode(["a", "b"]), TypeError, "dtype <U1"),
    ],
)
def test_bad_codes_say_what_would_work(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_groups_by_name_keep_to_the_size_and_all_have_parity():
    code = coding.get_code("systematic", 2048, 2560, group_size=32)
    assert {(part.code.k, part.code.n) for part in code.groups} == {(32, 40)}
    assert len(code.groups) == 64
    scarce = coding.get_code("systematic", 2048, 2060, group_size=32)
    assert min(part.code.n - part.code.k for part in scarce.groups) == 1
    for k, n in ((100, 113), (33, 35), (257, 400)):
        uneven = coding.get_code("systematic", k, n, group_size=32)
        blocks = [part.code.k for part in uneven.groups]
        parities = [part.code.n - part.code.k for part in uneven.groups]
        assert sum(blocks) == k
        assert sum(parities) == n - k
        assert max(blocks) - min(blocks) <= 1
        assert max(parities) - min(parities) <= 1


@pytest.mark.parametrize("name", ["repetition", "uncoded"])
def test_copies_need_no_groups(name):
    code = coding.get_code(name, 64, 64, group_size=8)
    assert not isinstance(code, coding.Grouped)


def test_what_does_not_fit_in_groups_is_one_group():
    """As one group this convex code is just small enough; in two, one of them would not be."""
    assert coding.get_code("convex", 33, 98, group_size=32) == coding.Convex(33, 98)
    with pytest.raises(ValueError, match="n=99 must be at most 3k-1=98"):
        coding.get_code("convex", 33, 99, group_size=32)


def test_code_objects_are_never_grouped():
    code = SYSTEMATIC(64, 80)
    assert coding.get_code(code, 64, 80, group_size=8) is code


@given(codes(), st.randoms(use_true_random=False), st.integers(0, 1000))
def test_reordered_codes_encode_the_blocks_in_that_order(code, random, seed):
    order = list(range(code.k))
    random.shuffle(order)
    reordered = coding.Reordered(code, order)
    blocks = random_blocks(seed, code.k)
    np.testing.assert_allclose(reordered.encode(blocks), code.encode(blocks[order]), atol=1e-12)
    np.testing.assert_allclose(reordered.generator @ blocks, reordered.encode(blocks), atol=1e-12)
    for chunk in range(code.n):
        used, coefficients = reordered.row(chunk)
        np.testing.assert_allclose(coefficients @ blocks[used], reordered.encode(blocks)[chunk])
        assert list(used) == sorted(used)


@given(codes(), st.randoms(use_true_random=False), st.data())
def test_answers_of_reordered_codes_are_in_the_blocks_own_order(code, random, data):
    """Decoding is the same as sorting the blocks first and the answers last."""
    order = list(range(code.k))
    random.shuffle(order)
    blocks = random_blocks(3, code.k)
    returned = data.draw(returned_sets(code))
    results = {i: np.tanh(code.encode(blocks[order])[i]) for i in returned}
    gram = blocks @ blocks.T
    there = coding.decode(coding.Reordered(code, order), results, gram=gram)
    sorted_first = coding.decode(code, results, gram=gram[np.ix_(order, order)])
    np.testing.assert_allclose(there.blocks[order], sorted_first.blocks, equal_nan=True)
    np.testing.assert_allclose(there.error[order], sorted_first.error, equal_nan=True)


def test_reordered_berrut_has_the_nodes_of_its_blocks():
    code = coding.Reordered(SYSTEMATIC(3, 5), (2, 0, 1))
    weights = berrut_by_hand(code.data_nodes[[2, 0, 1]], code.chunk_nodes[3:])
    np.testing.assert_allclose(code.generator[3:][:, [2, 0, 1]], weights, atol=1e-12)


def test_similarity_order_follows_a_line():
    """Points on a line, shuffled: the order must be theirs, from one end or the other."""
    rng = np.random.default_rng(0)
    place = rng.permutation(20).astype(float)
    line = place[:, None] * rng.normal(size=7) + rng.normal(size=7)
    found = place[list(coding.similarity_order(line @ line.T))]
    np.testing.assert_array_equal(found, np.arange(20)[:: int(np.sign(found[1] - found[0]))])


def test_similarity_order_of_equal_blocks_is_a_permutation():
    assert sorted(coding.similarity_order(np.ones((5, 5)))) == list(range(5))


@pytest.mark.parametrize("dtype", ["float64", "float32", "complex128", "int64"])
def test_arrays_of_other_libraries_are_encoded_by_their_own_means(dtype):
    """With an implementation of the array API standard that has nothing besides."""
    code = coding.Grouped(8, 12, size=4, code=SYSTEMATIC)
    blocks = (10 * random_blocks(0, 8, (2, 3))).astype(dtype)
    chunks = code.encode(strict.asarray(blocks))
    assert isinstance(chunks, type(strict.zeros(1)))
    np.testing.assert_allclose(np.asarray(chunks), code.encode(blocks), rtol=1e-5)
