"""Blocks that are not what dask says, integers beyond float64 and half precision."""

from __future__ import annotations

import warnings
from fractions import Fraction

import dask
import dask.array as da
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import dask_bacc
from dask_bacc import coding
from dask_bacc.records.errors import RefusedError
from tests.shared import relative_error

X = np.random.default_rng(0).normal(size=(24, 3))

#: What block 5 may be, and what is said of it.
OTHERS = {
    "masked": (lambda b: np.ma.masked_where(b > 1, b), "a masked array.*numpy.ma.filled"),
    "not masked anywhere": (np.ma.asarray, "a masked array"),
    "object": (lambda b: b.astype(object), "dtype object.*map_blocks and astype"),
    "string": (lambda b: b.astype(str), "dtype <U32"),
    "date": (lambda b: b.astype("m8[s]"), "dtype timedelta64"),
    "frame": (pd.DataFrame, r"type pandas.*DataFrame.*to_numpy\(\)"),
    "sparse": (sparse.csr_matrix, r"type scipy.sparse.*csr_matrix.*toarray\(\)"),
    "list": (lambda b: b.tolist(), r"type builtins.list"),
    "none": (lambda b: None, "type builtins.NoneType"),
    "dask": (lambda b: da.from_array(b), "type dask.*Array"),
    "shorter": (lambda b: b[:2], r"shape \(2, 3\), although.*\(3, 3\)"),
    "flat": (lambda b: b.ravel(), r"shape \(9,\)"),
    "scalar": (lambda b: b.sum(), "type numpy.float64"),
}


def odd(kind, number=5):
    """A dask array of eight plain blocks, as it says, one of which is something else."""
    make = OTHERS[kind][0]

    def change(block, block_info=None):
        return make(block) if block_info[0]["chunk-location"][0] == number else block

    return da.from_array(X, chunks=(3, 3)).map_blocks(change, dtype=float, meta=np.empty((0, 0)))


def plain(block):
    assert type(block) is np.ndarray
    return np.tanh(block)


@pytest.mark.parametrize("kind", OTHERS)
def test_a_chunk_that_is_something_else_is_refused(client, kind):
    run = dask_bacc.encode(X, odd(kind), n=8).map(lambda a, b: plain(b), client=client)
    message = f"chunk 5 is refused: its block of array 1 .*{OTHERS[kind][1]}"
    with pytest.raises(dask_bacc.DecodeError, match=message) as caught:
        run.result(timeout=60)
    assert isinstance(caught.value.__cause__, RefusedError)


@pytest.mark.parametrize("slices", [0, 1, 3])
@pytest.mark.parametrize("kind", OTHERS)
def test_parity_of_something_else_is_refused(client, configure, kind, slices):
    """No chunk of this code is a block as it stands."""
    configure({"bacc.encode.slices": slices})
    coded = dask_bacc.encode(X, odd(kind), n=12, code="berrut")
    assert max(coded.code.own_blocks) < 0
    run = coded.map(lambda a, b: plain(b), client=client)
    message = f"chunk .* is refused: block 5 of array 1 .*{OTHERS[kind][1]}"
    with pytest.raises(dask_bacc.DecodeError, match=message) as caught:
        run.result(timeout=60)
    assert isinstance(caught.value.__cause__, RefusedError)


def test_making_chunks_alone_says_the_same():
    with pytest.raises(RefusedError, match="block 5 of array 0 is a masked array"):
        dask_bacc.encode(odd("masked"), n=12).compute()


@pytest.mark.parametrize("slices", [0, 1, 3])
@pytest.mark.parametrize(
    ("said", "real"), [("f8", "f4"), ("f4", "f8"), ("f8", "c16"), ("f8", "i4")]
)
def test_numbers_of_another_dtype_are_combined_without_loss(configure, said, real, slices):
    """Dask guesses dtypes, and chunks of another are numbers all the same."""
    configure({"bacc.encode.slices": slices})
    values = (10 * X * (1 + 1j)).astype(real) if real == "c16" else (10 * X).astype(real)
    array = da.from_array(values, chunks=(3, 3)).map_blocks(
        np.positive, dtype=said, meta=np.empty((0, 0), said)
    )
    coded = dask_bacc.encode(array, n=12)
    blocks = np.split(values, 8)
    expected = [
        sum(g * b.astype(complex) for g, b in zip(row, blocks, strict=True))
        for row in coded.code.generator
    ]
    np.testing.assert_allclose(coded.compute(), expected, rtol=1e-14, atol=1e-14)


BEYOND = [
    np.int64(2**53 + 1),
    np.int64(-(2**53) - 1),
    np.int64(np.iinfo("i8").min),
    np.uint64(2**64 - 1),
]


def with_one(number):
    """Small integers, but for one in the block 5 of eight."""
    values = np.arange(24, dtype=number.dtype).reshape(24, 1)
    values[16] = number
    return values


@pytest.mark.parametrize("number", BEYOND)
def test_integers_that_float64_cannot_hold_are_refused_at_once(number):
    message = rf"array 1 has integers beyond 2\*\*53 such as {number}.*subtract an offset"
    with pytest.raises(ValueError, match=message):
        dask_bacc.encode(X, with_one(number), k=8, n=12)
    with pytest.raises(ValueError, match="beyond"):
        coding.Local(8, 12).encode(with_one(number).reshape(8, 3))


@pytest.mark.parametrize("slices", [0, 1, 3])
@pytest.mark.parametrize("code", ["systematic", "berrut", "uncoded"])
@pytest.mark.parametrize("number", BEYOND)
def test_integers_that_float64_cannot_hold_are_refused_on_workers(
    client, configure, number, code, slices
):
    configure({"bacc.encode.slices": slices})
    array = da.from_array(with_one(number), chunks=(3, 1))
    coded = dask_bacc.encode(array, n=8 if code == "uncoded" else 12, code=code)
    with pytest.raises(dask_bacc.DecodeError, match=rf"block 5 of array 0 .*such as {number}"):
        coded.map(np.negative).result(timeout=60)


@pytest.mark.parametrize("make", [np.asarray, lambda x: da.from_array(x, chunks=(3, 1))])
@pytest.mark.parametrize("number", [np.int64(2**53), np.int64(-(2**53)), np.uint64(2**53)])
def test_integers_that_float64_holds_are_encoded(make, number):
    coded = dask_bacc.encode(make(with_one(number)), k=8, n=12, code="local")
    chunks = coded.compute()
    blocks = np.split(with_one(number), 8)
    for chunk, row in zip(chunks, coded.code.generator, strict=True):
        for place in range(3):
            exact = sum(
                Fraction(float(g)) * int(b[place, 0]) for g, b in zip(row, blocks, strict=True)
            )
            assert chunk[place, 0] == pytest.approx(float(exact), rel=1e-15)


@pytest.mark.parametrize("slices", [0, 1, 3])
@pytest.mark.parametrize("make", [np.asarray, lambda x: da.from_array(x, chunks=(3, 3))])
def test_parity_of_half_precision_is_single(configure, make, slices):
    configure({"bacc.encode.slices": slices})
    half = X.astype(np.float16)
    coded = dask_bacc.encode(make(half), k=8, n=12)
    (part,) = coded.parts
    assert (part.dtype, part.own_dtype) == (np.float32, np.float16)
    assert coded.nbytes == 8 * 9 * 2 + 4 * 9 * 4
    graph = coded.__dask_graph__()
    chunks = dask.get(graph, [(part.name, i) for i in range(12)])
    own = coded.code.own_blocks
    expected = np.einsum("ij,jab->iab", coded.code.generator, half.astype(float).reshape(8, 3, 3))
    for i, chunk in enumerate(chunks):
        assert chunk.dtype == (np.float16 if own[i] >= 0 else np.float32)
        np.testing.assert_allclose(chunk, expected[i], rtol=1e-5, atol=1e-6)
    for stacked in (coded.compute(), coded.to_dask_array().compute()):
        assert stacked.dtype == np.float32
        np.testing.assert_allclose(stacked, expected, rtol=1e-5, atol=1e-6)
    assert coded.to_dask_array().dtype == np.float32


def test_half_precision_does_not_overflow_in_parity(client):
    """Rows of this code overshoot."""
    half = np.full((24, 3), 60_000, np.float16)
    half[::2] = -60_000
    coded = dask_bacc.encode(half, k=8, n=12, code="berrut")
    assert np.isfinite(coded.compute()).all()
    assert np.abs(coded.compute()).max() > np.finfo(np.float16).max
    chunks = coding.get_code("berrut", 8, 12).encode(half.reshape(8, 9))
    assert chunks.dtype == np.float32
    np.testing.assert_allclose(coded.compute().reshape(12, 9), chunks, rtol=1e-5, atol=0.1)


@pytest.mark.parametrize(("k", "n", "lost"), [(8, 12, (1, 4)), (16, 24, (0, 3, 4, 9))])
def test_a_linear_function_of_half_precision_keeps_to_its_estimate(client, k, n, lost):
    """Own results are exact; lost blocks come from parity that was not rounded to half."""
    half = np.random.default_rng(0).normal(size=(10 * k, 20)).astype(np.float16)
    weights = np.random.default_rng(5).normal(size=(20, 50))

    def linear(block):
        if any(np.array_equal(block, half[10 * j : 10 * j + 10]) for j in lost):
            raise OSError("lost")
        return block.astype(float) @ weights

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        answer = dask_bacc.encode(half, k=k, n=n).map(linear, rtol=1e-3).result(timeout=60)
    truth = half.astype(float) @ weights
    assert relative_error(answer, truth) < 1e-4
