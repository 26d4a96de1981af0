"""What holds for answers of all decoders: dtypes, scales, own results, groups, bad input."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dask_bacc import coding
from dask_bacc.coding import decode
from tests.strategies import ANY_SUBSET, SYSTEMATIC, codes, random_blocks


@pytest.mark.parametrize("decoder", ["spline", "kriging", "berrut", "least-squares"])
@pytest.mark.parametrize("exponent", [-1000, -500, 500, 1000])
def test_very_large_and_small_results_decode_alike(decoder, exponent):
    code = SYSTEMATIC(4, 9)
    values = {i: np.random.default_rng(i).normal(size=6) for i in (1, 3, 4, 6, 7, 8)}
    scale = 2.0**exponent
    decoded = decode(code, values, decoder)
    other = decode(code, {i: scale * v for i, v in values.items()}, decoder)
    np.testing.assert_array_equal(other.blocks / scale, decoded.blocks)
    np.testing.assert_array_equal(other.error / scale, decoded.error)


def test_half_precision_does_not_overflow_on_the_way():
    code = SYSTEMATIC(8, 20)
    values = {i: np.full(2, 60000 * (-1.0) ** i, "f2") for i in range(1, 17)}
    with pytest.raises(OverflowError, match="overflow float16"):
        decode(code, values, "berrut")
    mean = decode(coding.Local(2, 3), {0: np.float16(6e4), 2: np.float16(6e4)}, "least-squares")
    np.testing.assert_allclose(mean.blocks, 6e4, rtol=1e-3)


@given(codes(), st.data())
def test_every_codes_own_decoder_recovers_affine_functions_from_all_results(code, data):
    blocks = random_blocks(data.draw(st.integers(0, 99)), code.k, (2,))
    decoded = decode(code, dict(enumerate(code.encode(blocks))))
    if (code.own_blocks >= 0).sum() >= code.k and set(code.own_blocks) >= set(range(code.k)):
        np.testing.assert_array_equal(decoded.blocks, blocks)
        np.testing.assert_array_equal(decoded.error, 0)
    elif isinstance(code, coding.Lagrange):
        np.testing.assert_allclose(decoded.blocks, blocks, atol=1e-9)


@pytest.mark.parametrize("decoder", [*ANY_SUBSET, "polynomial", "least-squares"])
def test_own_results_are_copied_bit_for_bit(decoder):
    code = SYSTEMATIC(4, 9)
    values = {i: np.random.default_rng(i).normal(size=(2, 2)) for i in (1, 3, 4, 5, 6, 7, 8)}
    decoded = decode(code, values, decoder)
    for block in (1, 3):
        np.testing.assert_array_equal(decoded.blocks[block], values[block])
        assert decoded.error[block] == 0
    assert np.isnan(decoded.error[[0, 2]]).all()


@pytest.mark.parametrize("decoder", [*ANY_SUBSET, "polynomial", "least-squares"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("shape", [(), (3,), (2, 1, 3, 2), (0,)])
def test_dtype_and_any_number_of_dimensions(decoder, dtype, shape):
    code = SYSTEMATIC(3, 8)
    rng = np.random.default_rng(0)
    values = {
        i: (rng.normal(size=shape) + (1j * rng.normal(size=shape) if "c" in dtype else 0))
        for i in (0, 3, 4, 5, 6)
    }
    exact = decode(code, values, decoder).blocks
    typed = decode(code, {i: np.asarray(v, dtype) for i, v in values.items()}, decoder).blocks
    assert typed.dtype == dtype
    assert typed.shape == (3, *shape)
    if decoder != "spline":  # its strength is chosen from the rounded results
        np.testing.assert_allclose(typed, exact.astype(dtype), rtol=1e-3, atol=1e-3)


def test_integers_and_booleans_decode_as_float64():
    for value in (np.int16(3), True, [1, 2]):
        assert decode(SYSTEMATIC(2, 4), {0: value, 3: value}).blocks.dtype == np.float64


@pytest.mark.parametrize(
    ("returned", "expected"), [((0, 1, 2, 4, 5), "float16"), ((4, 5, 6, 7), "float32")]
)
def test_the_dtype_is_that_of_results_that_are_copied(returned, expected):
    """Parity of half precision is made, and so returns, in single precision."""
    code = SYSTEMATIC(4, 8)
    chunks = code.encode(np.linspace(0, 1, 12).reshape(4, 3))
    results = {i: chunks[i].astype("f2" if i < 4 else "f4") for i in returned}
    decoded = decode(code, results, "least-squares")
    assert decoded.blocks.dtype == expected
    np.testing.assert_allclose(decoded.blocks, chunks[:4], atol=3e-3)
    for block in {0, 1, 2}.intersection(returned):
        np.testing.assert_array_equal(decoded.blocks[block], results[block])


def test_complex_results_of_parity_make_the_answer_complex():
    code = SYSTEMATIC(2, 4)
    chunks = code.encode(np.array([[1.0], [2.0]]))
    results = {0: chunks[0].astype("f4"), 2: chunks[2] * (1 + 1j), 3: chunks[3] * (1 + 1j)}
    assert decode(code, results, "berrut").blocks.dtype == np.complex64


def test_complex_results_decode_as_their_parts():
    code = SYSTEMATIC(3, 8)
    rng = np.random.default_rng(0)
    values = {i: rng.normal(size=4) + 1j * rng.normal(size=4) for i in (1, 3, 4, 5, 7)}
    for decoder in ("berrut", "floater-hormann", "least-squares", "polynomial"):
        both = decode(code, values, decoder).blocks
        real = decode(code, {i: v.real for i, v in values.items()}, decoder).blocks
        imag = decode(code, {i: v.imag for i, v in values.items()}, decoder).blocks
        np.testing.assert_allclose(both, real + 1j * imag, atol=1e-12)


def test_groups_decode_on_their_own():
    code = coding.Grouped(6, 10, size=3, code=SYSTEMATIC)
    blocks = random_blocks(5, 6)
    chunks = np.tanh(code.encode(blocks))
    returned = [1, 2, 3, 4, 6, 8, 9]
    whole = decode(code, {i: chunks[i] for i in returned})
    for part in code.groups:
        inner = range(part.chunks.start, part.chunks.stop)
        alone = decode(part.code, {i - inner.start: chunks[i] for i in returned if i in inner})
        np.testing.assert_array_equal(whole.blocks[part.blocks], alone.blocks)
    empty = decode(code, {i: chunks[i] for i in range(5)})
    assert empty.lost == (3, 4, 5)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda c: decode(c, {}), ValueError, "no results"),
        (lambda c: decode(c, {9: 1.0}), ValueError, r"chunks 0 to 4.*\[9\]"),
        (lambda c: decode(c, {0: [1.0], 1: [1.0, 2.0]}), ValueError, "one shape"),
        (lambda c: decode(c, {0: 1.0, 3: np.nan}), ValueError, r"chunks \[3\] have NaN"),
        (lambda c: decode(c, {0: np.ma.masked_less([1.0], 2)}), TypeError, "must not be masked"),
        (lambda c: decode(c, {0: "a"}), TypeError, "dtype <U1"),
        (lambda c: decode(c, {0: 1, 2: 2**53 + 1}), OverflowError, r"chunks \[2\] are; .*split"),
        (lambda c: decode(c, {1: np.longdouble("1e400")}), OverflowError, "scale them down"),
        (lambda c: decode(c, {0: 1.0}, "berut"), ValueError, "known decoders: berrut, floater"),
        (lambda c: decode(c, {0: 1.0}, 3), TypeError, "a name or a Decoder, got int"),
        (lambda c: decode(c, {0: 1.0}, coding.Polynomial(7)), ValueError, "needs 8 results"),
        (lambda c: decode(coding.Local(2, 3), {0: 1.0}, "spline"), ValueError, "has none; use"),
        (lambda c: decode(coding.Berrut(2, 4), {0: 1.0}, "first-copy"), ValueError, "block 0"),
        (lambda c: coding.FloaterHormann(-1), ValueError, "degree must be at least 0"),
        (lambda c: coding.Polynomial(-1), ValueError, "degree must be at least 0"),
    ],
)
def test_bad_input_says_what_would_work(call, error, message):
    with pytest.raises(error, match=message):
        call(SYSTEMATIC(3, 5))
