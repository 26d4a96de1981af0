"""Runs over blocks of other array libraries, which stay where they are."""

from __future__ import annotations

import dask
import dask.array as da
import numpy as np
import pytest
import sparse
import xarray as xr
from distributed import Client

import dask_bacc
from dask_bacc.records.errors import DecodeError
from tests.gpu import LIBRARIES, blocks_of, fetched, is_there, lazy, tanh
from tests.shared import BLOCKS, WEIGHTS, X, large, local_cluster, own_block, relative_error

COMBINES = ["concat", "stack", "sum", "mean"]


def encoded(library, n=12, array=X, **options):
    return dask_bacc.encode(lazy(library, array), n=n, **options)


def network(block, library):
    assert is_there(block, library)
    return tanh(block @ LIBRARIES[library](WEIGHTS))


def truth(combine):
    stacked = np.stack([large(block) for block in BLOCKS])
    answers = {"stack": stacked, "sum": stacked.sum(axis=0), "mean": stacked.mean(axis=0)}
    return answers.get(combine, np.concatenate(stacked))


def losing_two(block, library=None):
    if own_block(fetched(block)) in (2, 5):
        raise ZeroDivisionError
    return large(block) if library is None else network(block, library)


def assembled(array, library):
    """A dask array as a NumPy array, if its blocks are the library's and fit its description."""
    answer = np.full(array.shape, np.nan)
    starts = [np.concatenate([[0], np.cumsum(sizes)]) for sizes in array.chunks]
    for place, block in blocks_of(array).items():
        assert is_there(block, library)
        assert str(block.dtype).endswith(str(array.dtype))
        inside = tuple(slice(s[i], s[i + 1]) for s, i in zip(starts, place, strict=True))
        answer[inside] = fetched(block)
    return answer


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("combine", COMBINES)
def test_the_answer_is_of_the_blocks_library(client, library, combine):
    run = encoded(library).map(network, library, combine=combine, rtol=0)
    answer = run.result()
    assert is_there(answer, library)
    np.testing.assert_allclose(fetched(answer), truth(combine), rtol=1e-12)
    assert run.report.error == 0


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("combine", COMBINES)
@pytest.mark.parametrize("gather_limit", ["10 kB", "1 GB"])
def test_lost_blocks_are_decoded_as_numpys_are(client, library, combine, gather_limit):
    """Here and on the cluster, whether results stay on their workers or come here and go back."""
    options = {"combine": combine, "decoder": "berrut", "enough": 10}
    numpys = dask_bacc.encode(X, k=8, n=12).map(losing_two, **options).result()
    with dask.config.set({"bacc.gather-limit": gather_limit}):
        run = encoded(library).map(losing_two, library, **options)
        array = run.to_dask_array()
    assert array.shape == numpys.shape
    assert array.dtype == np.float64
    np.testing.assert_allclose(assembled(array, library), numpys, atol=1e-12)
    answer = run.result()
    assert is_there(answer, library)
    np.testing.assert_allclose(fetched(answer), numpys, atol=1e-12)


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("code", ["systematic", "local"])
def test_the_error_is_known(client, library, code):
    run = encoded(library, code=code).map(losing_two, library, rtol=np.inf, enough=10)
    answer = fetched(run.result())
    report = run.report
    assert [j for j, error in enumerate(report.block_error) if error > 0] == [2, 5]
    error = relative_error(answer, truth("concat"))
    assert 0 < error < 3 * report.error < 0.1


@pytest.mark.parametrize("gather_limit", ["10 kB", "1 GB"])
def test_dask_is_told_the_library_if_it_can_take_it(client, gather_limit):
    """Dask chooses its functions by a empty_meta of the blocks."""
    with dask.config.set({"bacc.gather-limit": gather_limit}):
        array = encoded("cupy").map(network, "cupy", rtol=0).to_dask_array()
        other = encoded("strict").map(network, "strict", rtol=0).to_dask_array()
    assert is_there(array._meta, "cupy")
    assert array._meta.shape == (0, 0)
    assert isinstance(other._meta, np.ndarray)
    doubled = assembled(array.map_blocks(lambda block: 2 * block, dtype=float), "cupy")
    np.testing.assert_allclose(doubled, 2 * truth("concat"), rtol=1e-12)


def several(block, library):
    part = tanh(block)
    return {"own": (part, 2 * part), "numpy": fetched(part).sum(axis=0), "number": 1.5}


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("gather_limit", ["0 B", "1 GB"])
def test_results_may_be_of_several_libraries(client, library, gather_limit):
    with dask.config.set({"bacc.gather-limit": gather_limit}):
        run = encoded(library).map(several, library, combine="stack", rtol=0)
        arrays = run.to_dask_array()
    answer = run.result()
    stacked = np.tanh(np.stack(BLOCKS))
    first, second = answer["own"]
    assert is_there(first, library)
    assert is_there(second, library)
    np.testing.assert_allclose(fetched(first), stacked)
    np.testing.assert_allclose(fetched(second), 2 * stacked)
    assert type(answer["numpy"]) is type(answer["number"]) is np.ndarray
    np.testing.assert_allclose(answer["numpy"], stacked.sum(axis=1))
    np.testing.assert_array_equal(answer["number"], np.full(8, 1.5))
    np.testing.assert_allclose(assembled(arrays["own"][1], library), 2 * stacked)
    np.testing.assert_allclose(arrays["numpy"].compute(), stacked.sum(axis=1))
    np.testing.assert_array_equal(arrays["number"].compute(), np.full(8, 1.5))


def spoils(block, library):
    doubled = 2 * block
    block[...] = 0.0
    return doubled


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_function_may_change_its_blocks(client, library):
    coded = encoded(library).persist()
    for _ in range(2):
        answer = coded.map(spoils, library, enough=12).result()
        np.testing.assert_allclose(fetched(answer), 2 * X)


def bad_in_two(block, library):
    if own_block(fetched(block)) != 2:
        return tanh(block)
    return block * float("nan")


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_result_that_is_not_finite_is_an_error(client, library):
    run = encoded(library).map(bad_in_two, library, enough=11, rtol=0, suspects="replace")
    with pytest.warns(RuntimeWarning, match="above rtol=0"):
        answer = run.result()
    assert str(run.report.erred[2]) == "result of shape (3, 2) has NaN or infinity"
    assert np.isfinite(fetched(answer)).all()


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("gather_limit", ["0 B", "1 GB"])
def test_an_answer_that_overflows_is_an_error(client, library, gather_limit):
    with dask.config.set({"bacc.gather-limit": gather_limit}):
        run = encoded(library, array=np.full_like(X, 1e308)).map(
            lambda block: +block, combine="sum", rtol=0
        )
        with pytest.raises(OverflowError, match="answer overflows float64"):
            run.result()


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("dtype", ["float32", "complex128", "int64", "bool"])
def test_dtypes(client, library, dtype):
    """Of blocks and of results; integers and booleans are combined in double precision."""
    array = np.where(X > 2.3, 3, 0).astype(dtype)
    coded = encoded(library, array=array, n=8, code="uncoded")
    answer = coded.map(lambda block: +block, rtol=0, combine="mean").result()
    assert is_there(answer, library)
    expected = np.mean(np.split(array, 8), axis=0)
    np.testing.assert_allclose(fetched(answer), expected, rtol=1e-6)
    convert = LIBRARIES[library]
    answer = coded.map(lambda block: convert(fetched(block).astype(dtype)), rtol=0).result()
    wanted = dtype if dtype in ("float32", "complex128") else "float64"
    assert fetched(answer).dtype == wanted
    np.testing.assert_array_equal(fetched(answer), array)


def own_or_numpy(block, library):
    return fetched(block) if own_block(fetched(block)) == 2 else tanh(block)


def test_results_of_different_libraries_are_refused(client):
    run = encoded("strict").map(own_or_numpy, "strict", enough=12)
    with pytest.raises(DecodeError, match=r"array_api_strict array\(3, 2\)"):
        run.result()


def test_objects_of_another_library_are_refused(client):
    gpu = LIBRARIES["cupy"]
    run = dask_bacc.encode(X, k=8, n=12).map(lambda block: gpu(fetched(block).astype(object)))
    with pytest.raises(DecodeError, match=r"array of numbers.* not GPUArray of dtype object"):
        run.result()


@pytest.mark.parametrize("library", LIBRARIES)
def test_from_numpy_blocks_to_another_library(client, library):
    convert = LIBRARIES[library]
    answer = (
        dask_bacc.encode(X, k=8, n=12).map(lambda block: convert(np.tanh(block)), rtol=0).result()
    )
    assert is_there(answer, library)
    np.testing.assert_allclose(fetched(answer), np.tanh(X))


@pytest.mark.parametrize("gather_limit", ["0 B", "1 GB"])
def test_labelled_arrays(client, gather_limit):
    labelled = xr.DataArray(lazy("cupy", X), dims=("x", "y"), coords={"x": np.arange(24)})
    with dask.config.set({"bacc.gather-limit": gather_limit}):
        run = dask_bacc.encode(labelled, n=12, dim="x").map(tanh, rtol=0)
        array = run.to_dask_array()
    answer = run.result()
    assert isinstance(answer, xr.DataArray)
    assert is_there(answer.data, "cupy")
    np.testing.assert_array_equal(answer.x, labelled.x)
    np.testing.assert_allclose(fetched(answer.data), np.tanh(X))
    np.testing.assert_allclose(assembled(array, "cupy"), np.tanh(X))


def test_sparse_blocks_and_results():
    """Nothing is made dense but what is known of a result."""
    dense = np.where(np.arange(48).reshape(24, 2) % 5 == 0, X, 0)
    blocks = da.from_array(sparse.COO.from_numpy(dense), chunks=(3, -1), asarray=False)
    # In one process, for sparse compiles in every one.
    with local_cluster(2, processes=False) as cluster, Client(cluster):
        run = dask_bacc.encode(blocks, n=12).map(lambda block: 2 * block, rtol=0)
        answer = run.result()
        assert isinstance(answer, sparse.COO)
        np.testing.assert_allclose(answer.todense(), 2 * dense)
        array = run.to_dask_array()
        assert isinstance(array._meta, sparse.COO)
        np.testing.assert_allclose(array.compute().todense(), 2 * dense)


def test_an_array_that_knows_its_library(client):
    """As far as dask can work with it: in one piece."""
    on_strict = LIBRARIES["strict"]
    one = da.from_delayed(dask.delayed(on_strict)(X), X.shape, meta=on_strict(X[:0]))
    answer = dask_bacc.encode(one, k=1, n=2, code="repetition").map(network, "strict").result()
    assert is_there(answer, "strict")
    np.testing.assert_allclose(fetched(answer), large(X), rtol=1e-12)
