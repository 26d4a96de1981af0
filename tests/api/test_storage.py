"""Arrays in Zarr files are read when they are wanted, and once."""

from __future__ import annotations

from collections import Counter

import dask
import dask.array as da
import numpy as np
import pytest
import zarr
from distributed import Client, futures_of, wait

import dask_bacc
from tests.shared import by_hand, local_cluster

X = np.random.default_rng(2).normal(size=(96, 40))


class Logged:
    """A stored array that writes to a file what is read of it, whichever process reads."""

    def __init__(self, array, log):
        self.array, self.log = array, log
        self.shape, self.dtype, self.ndim = array.shape, array.dtype, array.ndim

    def __getitem__(self, index):
        with self.log.open("a") as log:
            log.write(f"{index[0].start}\n")
        return self.array[index]


@pytest.fixture
def stored(tmp_path):
    array = zarr.create_array(tmp_path / "x.zarr", shape=X.shape, chunks=(6, 40), dtype=X.dtype)
    array[:] = X
    return array


@pytest.mark.parametrize("slices", [0, 1, 4])
@pytest.mark.parametrize("launch", ["eager", "backup"])
def test_stored_chunks_are_read_once_in_a_run(client, stored, tmp_path, configure, slices, launch):
    configure({"bacc.encode.slices": slices})
    log = tmp_path / "log"
    log.touch()
    lazy = da.from_array(Logged(stored, log), chunks=(6, 40), meta=X[:0])
    coded = dask_bacc.encode(lazy, n=20)
    assert not log.read_text()
    # All chunks are wanted, parity too.
    run = coded.map(np.negative, enough=20, rtol=0, launch=launch)
    np.testing.assert_array_equal(run.result(), -X)
    assert set(Counter(log.read_text().split()).values()) == {1}
    assert len(log.read_text().split()) == 16


def test_from_zarr(client, stored):
    lazy = da.from_zarr(stored)
    coded = dask_bacc.encode(lazy, n=20)
    np.testing.assert_allclose(coded.compute(), by_hand(coded.code, X), atol=1e-12)
    np.testing.assert_array_equal(coded.map(np.negative, enough=20).result(), -X)


def row_means(block):
    if block[0, 0] in (300.0, 700.0):
        raise ValueError("lost")
    return block.mean(axis=1)


def test_array_larger_than_the_memory_of_all_workers(tmp_path):
    limit, rows, columns = 400 * 2**20, 12_800, 8200
    x = np.arange(rows)[:, None]
    stored = zarr.create_array(
        tmp_path / "x.zarr",
        shape=(rows, columns),
        chunks=(100, columns),
        dtype=float,
        compressors=None,
    )
    for first in range(0, rows, 100):
        stored[first : first + 100] = x[first : first + 100] + np.arange(columns) / columns
    assert stored.nbytes > 2 * limit
    # Memory as users' workers have it: what they are forked from has imported everything.
    as_users = {
        "distributed.worker.multiprocessing-method": "spawn",
        "distributed.worker.memory.monitor-interval": "100ms",
    }
    with (
        dask.config.set({"bacc.encode.memory": "64 MiB", **as_users}),
        local_cluster(2, memory_limit=limit, local_directory=str(tmp_path)) as cluster,
        Client(cluster) as client,
    ):
        coded = dask_bacc.encode(da.from_zarr(stored), n=144).persist()
        wait(futures_of(coded))
        on_disk = client.run(lambda dask_worker: dask_worker.data.spilled_total.disk)
        assert sum(on_disk.values()) > stored.nbytes - 2 * limit
        # The mean is linear, so parity gives the blocks whose own results are lost.
        run = coded.map(row_means, enough=142, rtol=0)
        with pytest.warns(RuntimeWarning, match="above rtol=0"):
            means = run.result()
        assert sorted(run.report.erred) == [3, 7]
    np.testing.assert_allclose(means, np.arange(rows) + (columns - 1) / (2 * columns), rtol=1e-6)
