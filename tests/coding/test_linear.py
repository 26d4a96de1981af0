from __future__ import annotations

import array_api_strict as strict
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dask_bacc import coding
from dask_bacc.coding.linear import combine_rows, combined_rows
from tests.gpu import LIBRARIES, fetched, on_gpu
from tests.strategies import SYSTEMATIC, random_blocks


@given(
    st.integers(1, 6),
    st.integers(1, 9),
    st.sampled_from([(), (0,), (5,), (40_000,), (3, 30_000), (700, 90), (2, 3, 11_000)]),
    st.sampled_from(["float64", "float32", "complex64", "complex128", "longdouble"]),
    st.integers(0, 99),
)
def test_any_shape_and_dtype_against_a_plain_sum(rows, columns, shape, dtype, seed):
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(rows, columns)) * (rng.random((rows, columns)) < 0.8)
    arrays = list(random_blocks(seed, columns, shape).astype(dtype))
    out = [np.full(shape, np.nan, dtype) for _ in range(rows)]
    combine_rows(matrix, arrays, out)
    tolerance = 2e-5 if dtype in ("float32", "complex64") else 1e-11
    for row, values in zip(matrix, out, strict=True):
        expected = sum(g * array.astype(complex) for g, array in zip(row, arrays, strict=True))
        np.testing.assert_allclose(values, expected, atol=tolerance)
        assert values.dtype == dtype


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
@pytest.mark.parametrize("columns", [2, 64])
def test_sums_of_single_precision_are_rounded_once(dtype, columns):
    """And weights are not rounded at all: what parity is off by is magnified where it decodes."""
    arrays = list(random_blocks(0, columns, (5000,)).astype(dtype))
    matrix = np.random.default_rng(0).normal(size=(3, columns))
    out = [np.empty(5000, dtype) for _ in range(3)]
    combine_rows(matrix, arrays, out)
    for row, values in zip(matrix, out, strict=True):
        exact = sum(g * array.astype(complex) for g, array in zip(row, arrays, strict=True))
        for found, wanted in ((values.real, exact.real), (values.imag, exact.imag)):
            assert (np.abs(found - wanted) <= 0.501 * np.spacing(np.abs(found))).all()


@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_that_are_not_contiguous(order):
    """Blocks along another axis, and answers that are parts of a larger array."""
    whole = np.asarray(random_blocks(0, 6, (300, 200)), order=order)
    arrays = [whole[j].T[::2] for j in range(6)]
    answer = np.zeros((100, 3 * 300))
    out = [answer[:, 300 * i : 300 * (i + 1)] for i in range(3)]
    matrix = np.random.default_rng(1).normal(size=(3, 6))
    combine_rows(matrix, arrays, out)
    expected = np.einsum("ij,jab->iab", matrix, np.stack(arrays))
    np.testing.assert_allclose(answer, np.concatenate(list(expected), axis=1), atol=1e-12)


@pytest.mark.parametrize("convert", [np.asarray, on_gpu])
def test_half_precision_is_not_summed_in_half(convert):
    arrays = [convert(np.full(70_000, 60_000, np.float16)) for _ in range(2)]
    (twice,) = combined_rows(np.array([[3.0, -2.0]]), arrays)
    assert twice.dtype == np.float16
    np.testing.assert_array_equal(fetched(twice), np.float16(60_000))


@pytest.mark.parametrize("convert", LIBRARIES.values(), ids=LIBRARIES)
@pytest.mark.parametrize("decoder", ["berrut", "kriging", "least-squares"])
@pytest.mark.parametrize("dtype", ["float64", "float32", "complex128", "int64"])
def test_results_of_other_libraries_are_decoded_by_their_own_means(convert, decoder, dtype):
    """The answer is NumPy's, in the library's own arrays."""
    code = SYSTEMATIC(6, 9)
    blocks = random_blocks(0, 6, (3, 4))
    values = (10 * np.tanh(code.encode(blocks))).astype(dtype)
    returned = [0, 1, 3, 5, 6, 7, 8]
    gram = np.einsum("iab,jab->ij", blocks, blocks)
    ours = coding.decode(code, {i: convert(values[i]) for i in returned}, decoder, gram)
    numpys = coding.decode(code, {i: values[i] for i in returned}, decoder, gram)
    assert type(ours.blocks) is type(convert(values))
    np.testing.assert_allclose(fetched(ours.blocks), numpys.blocks, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(ours.error, numpys.error, rtol=1e-4)


def test_lost_blocks_of_other_libraries_are_nan():
    code = coding.Repetition(3, 4)
    decoded = coding.decode(code, {1: strict.ones(2), 2: strict.ones(2)})
    assert decoded.lost == (0,)
    np.testing.assert_array_equal(
        np.isnan(np.asarray(decoded.blocks)).any(axis=1), [True, False, False]
    )


def test_results_of_two_libraries_are_refused():
    with pytest.raises(TypeError, match="one library, got array_api_strict, numpy"):
        coding.decode(coding.Repetition(2, 2), {0: strict.ones(2), 1: np.ones(2)})
    with pytest.raises(TypeError, match=r"one library, got numpy, tests\.gpu"):
        coding.decode(coding.Repetition(2, 2), {0: np.ones(2), 1: on_gpu(np.ones(2))})
