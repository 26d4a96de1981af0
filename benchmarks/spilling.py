"""An array in Zarr files that is larger than the workers' memory together, encoded and mapped.

Run with ``python -m benchmarks.spilling``; takes one to two minutes. Two worker processes with a
memory limit keep what does not fit on disk, as Dask does.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import zarr
from distributed import Client, LocalCluster, futures_of, wait

import dask_bacc

WORKERS = 2
K, N = 96, 120


def write(path: Path, rows: int, columns: int) -> zarr.Array:
    """Rows that differ by a constant, written block by block."""
    array = zarr.create_array(
        path, shape=(rows, columns), chunks=(rows // K, columns), dtype="float64", compressors=None
    )
    for start in range(0, rows, rows // K):
        place = np.arange(start, start + rows // K) / rows
        array[start : start + rows // K] = place[:, None] + np.arange(columns)
    return array


def row_means(block: np.ndarray) -> np.ndarray:
    return block.mean(axis=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--limit", type=int, default=640, help="memory of a worker, MiB")
    parser.add_argument("--memory", default="96 MiB", help="of one encoding task")
    options = parser.parse_args()
    limit = options.limit * 2**20
    columns = 8192
    rows = K * (int(1.1 * WORKERS * limit) // (8 * columns * K) + 1)
    with tempfile.TemporaryDirectory() as folder:
        array = write(Path(folder) / "x.zarr", rows, columns)
        settings = {"bacc.encode.memory": options.memory, "temporary-directory": folder}
        with (
            dask.config.set(settings),
            LocalCluster(
                n_workers=WORKERS,
                threads_per_worker=1,
                memory_limit=limit,
                dashboard_address="127.0.0.1:0",
            ) as cluster,
            Client(cluster) as client,
        ):
            before = set(client.scheduler_info()["workers"])
            start = time.perf_counter()
            coded = dask_bacc.encode(da.from_zarr(array), n=N).persist()
            wait(futures_of(coded))
            encoded = time.perf_counter() - start
            on_disk = client.run(lambda dask_worker: dask_worker.data.spilled_total.disk)
            means = coded.map(row_means, enough=N).result()
            seconds = time.perf_counter() - start
            after = set(client.scheduler_info()["workers"])
        np.testing.assert_allclose(means, np.arange(rows) / rows + (columns - 1) / 2)
        print(f"array {array.nbytes / 1e6:.0f} MB, {WORKERS} workers of {limit / 1e6:.0f} MB")
        spilled = sum(on_disk.values()) / 1e6
        print(f"chunks {array.nbytes * N / K / 1e6:.0f} MB, of which {spilled:.0f} MB on disk")
        print(f"encoded in {encoded:.1f} s, mapped after {seconds:.1f} s; the answer is right")
        print(f"workers that had to be restarted: {len(after - before)}")


if __name__ == "__main__":
    main()
