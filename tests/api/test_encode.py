from __future__ import annotations

import subprocess
import sys
import warnings

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from dask.base import tokenize

import dask_bacc
from dask_bacc import coding
from tests.shared import by_hand, wait_until

RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 5, 4))


@pytest.mark.parametrize("name", [name for name in coding.CODES if name != "uncoded"])
@pytest.mark.parametrize("make", [np.asarray, lambda x: da.from_array(x, chunks=(3, 2, 3))])
def test_chunks_are_the_generators_combinations(name, make):
    coded = dask_bacc.encode(make(X), k=4, n=6, code=name)
    assert (coded.k, coded.n) == (4, 6)
    np.testing.assert_allclose(coded.compute(), by_hand(coded.code, X), atol=1e-12)


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
@pytest.mark.parametrize("make", [np.asarray, lambda x: da.from_array(x, chunks=2)])
def test_any_axis(axis, make):
    array = X[:, :4]
    coded = dask_bacc.encode(make(array), k=2, n=4, axis=axis)
    np.testing.assert_allclose(coded.compute(), by_hand(coded.code, array, axis), atol=1e-12)


def test_blocks_are_the_chunks_by_default():
    coded = dask_bacc.encode(da.from_array(X, chunks=(3, 5, 2)), n=6)
    assert coded.k == 4


def test_uneven_chunks_that_can_be_equal_are():
    coded = dask_bacc.encode(da.from_array(X, chunks=((5, 4, 3), 5, 4)), n=4)
    np.testing.assert_allclose(coded.compute()[:3], np.split(X, 3), atol=0)


@pytest.mark.parametrize(
    ("dtype", "encoded"),
    [
        ("int32", "float64"),
        ("uint8", "float64"),
        ("bool", "float64"),
        ("float32", "float32"),
        ("float16", "float32"),
        ("complex64", "complex64"),
    ],
)
@pytest.mark.parametrize("make", [np.asarray, lambda x: da.from_array(x, chunks=(3, -1, -1))])
def test_dtypes(dtype, encoded, make):
    array = (10 * X).astype(dtype)
    coded = dask_bacc.encode(make(array), k=4, n=6)
    assert coded.parts[0].dtype == encoded
    chunks = coded.compute()
    assert chunks.dtype == encoded
    np.testing.assert_allclose(chunks, by_hand(coded.code, array.astype(encoded)), rtol=1e-4)


def test_a_code_object():
    code = coding.Grouped(4, 6, size=2, code=coding.Local)
    coded = dask_bacc.encode(X, n=6, k=4, code=code)
    np.testing.assert_allclose(coded.compute(), by_hand(code, X), atol=1e-12)
    with pytest.raises(ValueError, match="does not fit k=3"):
        dask_bacc.encode(X, n=6, k=3, code=code)


def test_the_default_code_is_configured():
    with dask.config.set({"bacc.code": "local"}):
        assert dask_bacc.encode(X, n=6, k=4).code == coding.Local(4, 6)


def test_several_arrays_share_one_code():
    labels = np.arange(24)
    coded = dask_bacc.encode(da.from_array(X, chunks=(3, -1, -1)), labels, n=6)
    chunks = coded.compute()
    np.testing.assert_allclose(chunks[0], by_hand(coded.code, X), atol=1e-12)
    np.testing.assert_allclose(chunks[1], by_hand(coded.code, labels), atol=1e-12)


def test_later_changes_of_the_array_change_no_chunk():
    array = X.copy()
    coded = dask_bacc.encode(array, k=4, n=6)
    array[:] = np.nan
    np.testing.assert_allclose(coded.compute(), by_hand(coded.code, X), atol=1e-12)


def test_a_dask_collection():
    lazy = da.from_array(X, chunks=(3, -1, -1))
    coded = dask_bacc.encode(lazy, n=6)
    assert dask.is_dask_collection(coded)
    assert tokenize(coded) == tokenize(dask_bacc.encode(lazy, n=6))
    assert tokenize(coded) != tokenize(dask_bacc.encode(lazy, n=7))
    assert tokenize(coded) != tokenize(dask_bacc.encode(lazy + 1, n=6))
    assert tokenize(coded) != tokenize(dask_bacc.encode(lazy, n=6, code="local"))
    expected = by_hand(coded.code, X)
    (persisted,) = dask.persist(coded)
    (optimized,) = dask.optimize(coded)
    for collection in (coded, persisted, optimized):
        chunks, total = dask.compute(collection, lazy.sum())
        np.testing.assert_allclose(chunks, expected, atol=1e-12)
        np.testing.assert_allclose(total, X.sum())
    assert dask.delayed(np.shape)(coded).compute() == (6, 3, 5, 4)
    stacked = coded.to_dask_array()
    assert stacked.chunks == ((1,) * 6, (3,), (5,), (4,))
    np.testing.assert_allclose(stacked.compute(), expected, atol=1e-12)


def test_to_dask_array_of_several_arrays():
    coded = dask_bacc.encode(X, np.arange(12), k=4, n=6)
    first, second = coded.to_dask_array()
    np.testing.assert_allclose(first.compute(), by_hand(coded.code, X), atol=1e-12)
    assert second.shape == (6, 3)


def test_systematic_chunks_of_dask_arrays_are_the_blocks_themselves(client):
    """A block that is held by a worker is not copied for its own chunk."""
    blocks = client.persist(da.from_array(X, chunks=(3, -1, -1)))
    coded = client.persist(dask_bacc.encode(blocks, n=6))
    np.testing.assert_array_equal(coded.compute()[:4], np.split(X, 4))


def persisted(client):
    return client.persist(da.from_array(X, chunks=(3, -1, -1)))


def scattered(client):
    blocks = [client.scatter(block, hash=False) for block in np.split(X, 4)]
    return da.concatenate([da.from_delayed(b, (3, 5, 4), dtype=float) for b in blocks])


@pytest.mark.parametrize("make", [persisted, scattered, lambda client: persisted(client) + 0])
def test_data_on_the_cluster_is_kept_with_what_is_encoded_from_it(client, make):
    coded = dask_bacc.encode(make(client), n=6)
    assert len(client.futures) == 4
    np.testing.assert_array_equal(coded.map(np.tanh, enough=6).result(timeout=20), np.tanh(X))
    del coded
    wait_until(lambda: not client.futures)


def test_encode_is_lazy_for_dask_arrays():
    def fail(block):
        raise AssertionError("computed too early")

    lazy = da.from_array(X, chunks=(3, -1, -1)).map_blocks(fail, dtype=float, meta=X[:0])
    coded = dask_bacc.encode(lazy, n=6)
    repr(coded), coded._repr_html_()
    with pytest.raises(AssertionError, match="too early"):
        coded.compute()


def test_query_planning_works_or_is_refused():
    """The other array backend is chosen before dask.array is imported, so in a new process."""
    script = """
import dask
dask.config.set({"array.query-planning": True})
import dask.array as da, numpy as np
from dask.base import tokenize

import dask_bacc
assert da.array_expr_enabled()
x = np.arange(24.0).reshape(12, 2)
lazy = da.from_array(x, chunks=(4, 1)) * 2
coded = dask_bacc.encode(lazy, n=5)
blocks = np.split(2 * x, 3)
expected = [sum(g * b for g, b in zip(row, blocks)) for row in coded.code.generator]
np.testing.assert_allclose(coded.compute(), expected)
np.testing.assert_allclose(coded.persist().compute(), expected)
np.testing.assert_array_equal(coded.map(np.negative, enough=5).result(), -2 * x)
coded._repr_html_()
try:
    coded.to_dask_array()
except NotImplementedError as error:
    assert "query-planning" in str(error)
else:
    raise AssertionError
print("done")
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout.strip() == "done", done.stderr


def test_data_array_by_dimension():
    array = xr.DataArray(X, dims=("time", "y", "x"))
    coded = dask_bacc.encode(array, n=4, k=2, dim="x")
    np.testing.assert_allclose(coded.compute(), by_hand(coded.code, X, axis=2), atol=1e-12)
    both = dask_bacc.encode(array, array.transpose("x", "y", "time"), n=4, k=2, dim="x")
    assert [part.axis for part in both.parts] == [2, 0]


def test_nan_that_would_be_everywhere_is_told_of():
    array = np.ones((24, 2))
    array[[3, 7, 8, 22]] = [np.nan, np.nan], [np.nan, 1], [np.inf, 1], [1, np.nan]
    with pytest.warns(RuntimeWarning, match=r"array 0 has NaN or infinity in blocks 1, 2, 7, and"):
        dask_bacc.encode(array, k=8, n=10)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # Nothing is mixed, or nothing is wrong.
        dask_bacc.encode(array, k=8)
        dask_bacc.encode(np.nan_to_num(array), k=8, n=10)
        dask_bacc.encode(np.arange(24), k=8, n=10)


def test_functions_that_know_nan_get_it(client):
    array = np.ones((24, 2))
    array[3] = np.nan
    x = da.from_array(array, chunks=(3, 2))
    answer = dask_bacc.map_blocks(lambda b: b + 1, x).compute()
    np.testing.assert_array_equal(answer, array + 1)


def test_chunks_on_the_cluster_cannot_be_made_anew(client):
    with pytest.raises(ValueError, match="before persist"):
        dask_bacc.encode(np.arange(8.0), k=4, n=6).persist().anew()
