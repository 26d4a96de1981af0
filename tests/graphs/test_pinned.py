"""Sketches belong to the data they were made of."""

from __future__ import annotations

import warnings

import dask
import dask.array as da
import numpy as np
import pytest
import zarr
from distributed import Client

import dask_bacc
from tests.shared import chunk_here, local_cluster, relative_error

RNG = np.random.default_rng(0)
#: Blocks that are nearly alike, and blocks that have nothing in common.
ALIKE = np.tile(RNG.normal(size=(10, 6)), (8, 1)) + 1e-3 * RNG.normal(size=(80, 6))
UNLIKE = RNG.normal(size=(80, 6))
LOST = {1, 4, 9}


def f(block, lost):
    if chunk_here() in lost:
        raise OSError("lost")
    return np.tanh(block)


@pytest.fixture
def client():
    """In this process, for objects that both sides change and read."""
    with local_cluster(1, threads=2, processes=False) as cluster, Client(cluster) as client:
        yield client


class Store:
    """An array that is read piece by piece, and can be written anew."""

    shape, ndim, dtype = ALIKE.shape, 2, ALIKE.dtype

    def __init__(self):
        self.data = ALIKE

    def __getitem__(self, index):
        return self.data[index]


def of_zarr(path):
    stored = zarr.open(path, mode="w", shape=(80, 6), chunks=(10, 6), dtype="f8")
    stored[:] = ALIKE

    def write(values):
        stored[:] = values

    return lambda: da.from_zarr(str(path)), write


def of_object(path):
    store = Store()

    def write(values):
        store.data = values

    # The same name for what has another content, as storage has it.
    return lambda: da.from_array(store, chunks=(10, 6), name=str(path)), write


def of_inlined_object(path):
    store = Store()

    def write(values):
        store.data = values

    return lambda: da.from_array(store, chunks=(10, 6), name=str(path), inline_array=True), write


def of_delayed(path):
    np.save(path, ALIKE)

    def read(j):
        return np.load(f"{path}.npy")[10 * j : 10 * j + 10]

    def make():
        blocks = [dask.delayed(read)(j) for j in range(8)]
        return da.concatenate([da.from_delayed(b, (10, 6), dtype=float) for b in blocks])

    return make, lambda values: np.save(path, values)


def of_delayed_data(path):
    data = ALIKE.copy()

    def make():
        one = dask.delayed(data)
        blocks = [one[10 * j : 10 * j + 10] for j in range(8)]
        return da.concatenate([da.from_delayed(b, (10, 6), dtype=float) for b in blocks])

    def write(values):
        data[:] = values

    return make, write


def of_mapped_zarr(path):
    make, write = of_zarr(path)
    return lambda: da.concatenate([make()[:40] + 0, make()[40:] + 0]), write


CHANGING = [of_zarr, of_object, of_inlined_object, of_delayed, of_delayed_data, of_mapped_zarr]


def error_of(coded, truth):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        answer = coded.map(f, LOST, rtol=0).result(timeout=60)
    return relative_error(answer, np.tanh(truth))


@pytest.mark.parametrize("make_store", CHANGING)
@pytest.mark.parametrize("persisted", [False, True])
def test_data_that_has_changed_is_decoded_as_if_encoded_anew(
    client, tmp_path, make_store, persisted
):
    make, write = make_store(tmp_path / "data")
    coded = dask_bacc.encode(make(), n=12)
    error_of(coded, ALIKE)
    write(UNLIKE)
    # What was found out of the old data is not taken along either.
    again = coded.persist() if persisted else coded
    error = error_of(again, UNLIKE)
    afresh = error_of(dask_bacc.encode(make(), n=12), UNLIKE)
    assert error == pytest.approx(afresh, rel=0.05)
    assert not coded._known_sketches


PINNED = {
    "numpy": lambda client: dask_bacc.encode(ALIKE, k=8, n=12),
    "dask": lambda client: dask_bacc.encode(da.from_array(ALIKE, chunks=(10, 6)), n=12),
    "persisted source": lambda client: dask_bacc.encode(
        client.persist(da.from_array(ALIKE, chunks=(10, 6)) + 0), n=12
    ),
    "persisted chunks": lambda client: client.persist(
        dask_bacc.encode(da.from_array(ALIKE, chunks=(10, 6)) + 0, n=12)
    ),
}


@pytest.mark.parametrize("kind", PINNED)
def test_data_that_cannot_change_is_sketched_once(client, kind):
    coded = PINNED[kind](client)
    error_of(coded, ALIKE)
    known = dict(coded._known_sketches)
    assert known.keys() == set(range(12)) - LOST
    error_of(coded, ALIKE)
    assert all(coded._known_sketches[i] is sketches for i, sketches in known.items())
    assert coded.persist()._known_sketches is coded._known_sketches
    both = dask_bacc.encode(ALIKE, da.from_zarr(zarr.array(ALIKE, chunks=(10, 6))), n=12)
    assert both._sketches() is not both._sketches()
