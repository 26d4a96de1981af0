from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.interpolate import FloaterHormannInterpolator, make_smoothing_spline

from dask_bacc import coding
from dask_bacc.coding import decode
from dask_bacc.coding.decoders import LeastSquares
from dask_bacc.coding.decoders.spline import _cross_validated_smoother, roughness
from tests.shared import relative_error
from tests.strategies import SYSTEMATIC, codes, node_codes, random_blocks, returned_sets

ANY_SUBSET = ("berrut", "floater-hormann", "spline")


def results_of(code, blocks, function, returned):
    chunks = code.encode(blocks)
    return {i: function(chunks[i]) for i in returned}


@pytest.mark.parametrize(("name", "degree"), [("berrut", 0), ("floater-hormann", 1)])
@pytest.mark.parametrize("count", [1, 2, 7, 20])
def test_barycentric_decoders_agree_with_scipy(name, degree, count):
    code = coding.Berrut(6, 20)
    returned = np.random.default_rng(count).permutation(20)[:count]
    results = {int(i): np.random.default_rng(i).normal(size=(2, 3)) for i in returned}
    order = returned[np.argsort(code.chunk_nodes[returned])]
    scipy = FloaterHormannInterpolator(
        code.chunk_nodes[order], np.stack([results[i] for i in order]), d=min(degree, count - 1)
    )
    np.testing.assert_allclose(
        decode(code, results, name).blocks, scipy(code.data_nodes), rtol=1e-9, atol=1e-9
    )


def test_spline_smoother_agrees_with_scipy():
    nodes = np.sort(np.random.default_rng(0).uniform(-1, 1, 12))
    values = np.random.default_rng(1).normal(size=12)
    for strength in (1e-6, 1e-3, 1.0):
        ours = np.linalg.solve(np.eye(12) + strength * roughness(nodes), values)
        scipy = make_smoothing_spline(nodes, values, lam=strength)
        np.testing.assert_allclose(ours, scipy(nodes), atol=1e-8)


def test_spline_strength_wins_the_brute_force_leave_one_out():
    """Refitting with SciPy without each result in turn finds no better strength."""
    rng = np.random.default_rng(2)
    nodes = np.sort(rng.uniform(-1, 1, 15))
    values = np.sin(3 * nodes)[:, None] + 0.2 * rng.normal(size=(15, 3))
    smoother = _cross_validated_smoother(nodes, values @ values.T)

    def leave_one_out(strength):
        error = 0.0
        for i in range(15):
            rest = np.delete(np.arange(15), i)
            for column in values.T:
                spline = make_smoothing_spline(nodes[rest], column[rest], lam=strength)
                predicted = spline(nodes[i])
                # SciPy continues the end cubic, a natural spline the straight line.
                if i in (0, 14):
                    end = nodes[rest][0 if i == 0 else -1]
                    predicted = spline(end) + (nodes[i] - end) * spline(end, 1)
                error += (column[i] - predicted) ** 2
        return error

    strengths = np.logspace(-8, 2, 60)
    best = min(leave_one_out(s) for s in strengths)
    residual = values - smoother @ values
    ours = np.sum((residual / (1 - np.diag(smoother))[:, None]) ** 2)
    assert ours <= 1.05 * best
    # The closed form is the refit: it cannot beat the best refit by more than the grid's step.
    assert ours >= 0.95 * best


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


@given(codes(), st.data())
def test_every_codes_own_decoder_recovers_affine_functions_from_all_results(code, data):
    blocks = random_blocks(data.draw(st.integers(0, 99)), code.k, (2,))
    decoded = decode(code, dict(enumerate(code.encode(blocks))))
    if (code.own_blocks >= 0).sum() >= code.k and set(code.own_blocks) >= set(range(code.k)):
        np.testing.assert_array_equal(decoded.blocks, blocks)
        np.testing.assert_array_equal(decoded.error, 0)
    elif isinstance(code, coding.Lagrange):
        np.testing.assert_allclose(decoded.blocks, blocks, atol=1e-9)


@pytest.mark.parametrize("decoder", ANY_SUBSET)
@given(code=node_codes(), data=st.data())
def test_any_subset_decodes_down_to_one_and_constants_are_exact(decoder, code, data):
    returned = data.draw(returned_sets(code))
    decoded = decode(code, {i: np.full(3, 2.5) for i in returned}, decoder)
    assert decoded.lost == ()
    np.testing.assert_allclose(decoded.blocks, 2.5, rtol=1e-8)


@pytest.mark.parametrize("decoder", ANY_SUBSET)
@given(code=node_codes(), data=st.data(), scale=st.sampled_from([-3.0, 1e-9, 1e12]))
def test_order_of_arrival_and_scale_do_not_matter(decoder, code, data, scale):
    returned = data.draw(returned_sets(code))
    values = {i: np.random.default_rng(i).normal(size=4) for i in returned}
    answer = decode(code, values, decoder).blocks
    other = decode(code, {i: scale * values[i] for i in sorted(returned)}, decoder).blocks
    tolerance = 1e-6 * np.abs(scale) * np.abs(answer).max()
    np.testing.assert_allclose(other, scale * answer, atol=tolerance)


@pytest.mark.parametrize("decoder", ANY_SUBSET)
def test_repeated_nodes_count_as_their_mean(decoder):
    class Doubled(coding.Berrut):
        @property
        def chunk_nodes(self):
            return np.repeat(super().chunk_nodes[: self.n // 2], 2)

    code = Doubled(3, 12)
    values = {i: np.random.default_rng(i).normal(size=2) for i in range(12)}
    single = {2 * i: (values[2 * i] + values[2 * i + 1]) / 2 for i in range(6)}
    np.testing.assert_allclose(
        decode(code, values, decoder).blocks, decode(code, single, decoder).blocks, atol=1e-10
    )


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
    ("function", "shape"),
    [
        (lambda x: x * np.sin(x), (20,)),
        (lambda x: 1 / (1 + np.exp(-x)), (20,)),
        (lambda x: x @ np.swapaxes(x, -1, -2), (6, 5)),
    ],
    ids=["x sin x", "sigmoid", "X X^T"],
)
@pytest.mark.parametrize("missing", [0, 4])
def test_berruts_error_falls_like_one_over_n(function, shape, missing):
    rng = np.random.default_rng(0)
    blocks = rng.uniform(-1, 1, (8, *shape))
    sizes = [80, 160, 320, 640]
    errors = []
    for n in sizes:
        code = coding.Berrut(8, n)
        results = function(code.encode(blocks))
        draws = []
        for _ in range(9):
            returned = rng.permutation(n)[: n - missing]
            answer = decode(code, {int(i): results[i] for i in returned}, "berrut").blocks
            draws.append(relative_error(answer, function(blocks)))
        errors.append(np.median(draws))
    slope = np.polyfit(np.log(sizes), np.log(errors), 1)[0]
    assert -1.25 < slope < -0.9


def test_lagrange_loses_its_digits_as_n_grows_and_berrut_does_not():
    """The paper's reason for rational interpolation, on a function both schemes handle."""
    rng = np.random.default_rng(0)
    lagrange, berrut = {}, {}
    for n in (12, 48, 192):
        k = n // 3
        blocks = rng.uniform(-1, 1, (k, 50))
        exact, rational = coding.Lagrange(k, n, degree=2), coding.Berrut(k, n)
        results = [code.encode(blocks) ** 2 for code in (exact, rational)]
        draws = [[], []]
        for _ in range(9):
            returned = rng.permutation(n)[: exact.recovery_threshold].tolist()
            schemes = ((exact, "polynomial"), (rational, "berrut"))
            for (code, decoder), values, errors in zip(schemes, results, draws, strict=True):
                answer = decode(code, {i: values[i] for i in returned}, decoder).blocks
                errors.append(relative_error(answer, blocks**2))
        lagrange[n], berrut[n] = np.median(draws, axis=1)
    assert lagrange[12] < 1e-13
    assert lagrange[48] > 30 * lagrange[12]
    assert lagrange[192] > 1000 * lagrange[48]
    assert berrut[192] < 2 * berrut[12]


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
