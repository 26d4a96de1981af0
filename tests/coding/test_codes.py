from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dask_bacc import coding
from tests.strategies import SYSTEMATIC, codes, random_blocks


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
