"""Every way to make parity, of arrays of every library."""

from __future__ import annotations

import dask
import dask.array as da
import numpy as np
import pytest
import sparse as pydata_sparse

import dask_bacc
from dask_bacc.graphs.encode import alone_key
from tests.gpu import LIBRARIES, blocks_of, fetched, is_there, lazy, on_gpu
from tests.shared import X, by_hand

ARRAY = np.random.default_rng(1).normal(size=(48, 7, 5))


@pytest.mark.parametrize("slices", [0, 1, 2, 3, 5])
@pytest.mark.parametrize("name", ["systematic", "local", "berrut", "convex"])
@pytest.mark.parametrize("axis", [0, 1])
def test_every_way_makes_the_same_chunks(configure, slices, name, axis):
    configure({"bacc.encode.slices": slices})
    array = ARRAY if axis == 0 else np.moveaxis(ARRAY, 0, 1).astype("float32")
    for group_size in (8, None):
        with dask.config.set({"bacc.group-size": group_size}):
            coded = dask_bacc.encode(
                da.from_array(array, chunks=(2, -1, 3)), k=16, n=21, code=name, axis=axis
            )
        expected = by_hand(coded.code, array, axis)
        np.testing.assert_allclose(coded.compute(), expected, rtol=1e-4, atol=1e-5)


def test_a_nan_stays_in_its_chunks_when_blocks_are_gathered(configure):
    configure({"bacc.encode.slices": 2})
    array = ARRAY.copy()
    array[0, 0, 0] = np.nan
    coded = dask_bacc.encode(da.from_array(array, chunks=(3, -1, -1)), n=20, code="local")
    bad = np.isnan(coded.compute()).any(axis=(1, 2, 3))
    np.testing.assert_array_equal(np.flatnonzero(bad), [0, 16])


def test_a_backup_is_made_without_the_other_parity(configure):
    """Only its own task stands between the blocks and a chunk that is wanted alone."""
    configure({"bacc.encode.slices": 4})
    coded = dask_bacc.encode(da.from_array(ARRAY, chunks=(3, -1, -1)), n=20)
    graph = coded.__dask_graph__()
    key = alone_key(coded.parts[0].name, 17)
    blocks = np.split(ARRAY, 16)
    targets = {graph[coded.parts[0].name, j].target for j in range(16)}
    assert graph[key].dependencies == targets
    values = {graph[coded.parts[0].name, j].target: block for j, block in enumerate(blocks)}
    np.testing.assert_allclose(graph[key](values), by_hand(coded.code, ARRAY)[17], atol=1e-12)


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("slices", [0, 1, 2, 3])
@pytest.mark.parametrize("axis", [0, 1])
def test_every_way_to_encode(client, configure, library, slices, axis):
    configure({"bacc.encode.slices": slices})
    array = np.random.default_rng(0).normal(size=(24, 24))
    chunks = (3, 24) if axis == 0 else (24, 3)
    coded = dask_bacc.encode(lazy(library, array, chunks), n=11, axis=axis)
    made = coded.compute()
    assert is_there(made, library)
    blocks = np.stack(np.split(array, 8, axis=axis))
    expected = np.einsum("ij,jab->iab", coded.code.generator, blocks)
    np.testing.assert_allclose(fetched(made), expected, atol=1e-12)
    assert all(is_there(block, library) for block in blocks_of(coded.to_dask_array()).values())


def test_coded_chunks_tell_dask_their_library_too(client):
    gpu = da.from_array(X, chunks=(3, 2)).map_blocks(on_gpu, meta=on_gpu(X[:0]))
    chunks = dask_bacc.encode(gpu, n=12).to_dask_array()
    assert is_there(chunks._meta, "cupy")
    assert chunks._meta.shape == (0, 0, 0)
    assert all(is_there(block, "cupy") for block in blocks_of(chunks).values())


def test_chunks_of_another_library_are_combined_by_it():
    """Sparse arrays stay sparse."""
    dense = np.zeros((12, 5))
    dense[::3, 1] = np.arange(1, 5)
    chunks = da.from_array(pydata_sparse.COO.from_numpy(dense), chunks=(3, -1), asarray=False)
    coded = dask_bacc.encode(chunks, n=6, code="local")
    made = dask.compute(*(dask.delayed(chunk) for chunk in coded.to_dask_array().blocks))
    assert all(isinstance(chunk, pydata_sparse.COO) for chunk in made)
    expected = by_hand(coded.code, dense)
    np.testing.assert_allclose([chunk.todense()[0] for chunk in made], expected)
