"""An array in Zarr files that is larger than the workers' memory together, encoded and mapped.

Run with ``python -m benchmarks.spilling``; takes about a minute, on Linux. Two worker processes
with a memory limit keep what does not fit on disk, as Dask does. Three ways in turn: plain Dask, a
coded array that is persisted first, and one that is mapped as it is read.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import zarr
from distributed import Client, LocalCluster, SchedulerPlugin, futures_of, wait

import dask_bacc
from benchmarks import memory

WORKERS = 2
K, N = 96, 120


class Reads(SchedulerPlugin):
    """Counts blocks that were read."""

    name = "reads"

    def __init__(self) -> None:
        self.count = 0

    def transition(self, key: Any, start: str, finish: str, *_: Any, **__: Any) -> None:
        """Called by the scheduler."""
        self.count += start == "processing" and finish == "memory" and "from-zarr" in key[0]


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


def plain(array: zarr.Array) -> np.ndarray:
    held = da.from_zarr(array).persist()
    wait(held)
    means: np.ndarray = held.map_blocks(row_means, drop_axis=1).compute()
    return means


def persisted(array: zarr.Array) -> np.ndarray:
    coded = dask_bacc.encode(da.from_zarr(array), n=N).persist()
    wait(futures_of(coded))
    means: np.ndarray = coded.map(row_means, enough=N).result()
    return means


def directly(array: zarr.Array) -> np.ndarray:
    means: np.ndarray = (
        dask_bacc.encode(da.from_zarr(array), n=N).map(row_means, enough=N).result()
    )
    return means


def written(client: Client) -> float:
    """Bytes that workers have written to disk so far."""
    counts = client.run(
        lambda dask_worker: dask_worker.data.cumulative_metrics["disk-write", "bytes"]
    )
    return sum(counts.values())


def measure(client: Client, reads: Reads, way: Callable[[Any], Any], array: zarr.Array) -> str:
    rows, columns = array.shape
    workers = set(client.scheduler_info()["workers"])
    pids = client.run(os.getpid).values()
    memory.reset(pids)
    disk, reads.count = written(client), 0
    start = time.perf_counter()
    means = way(array)
    seconds = time.perf_counter() - start
    peak = max(memory.largest(pids).values())
    disk = written(client) - disk
    restarted = len(set(client.scheduler_info()["workers"]) - workers)
    np.testing.assert_allclose(means, np.arange(rows) / rows + (columns - 1) / 2)
    return (
        f"{way.__name__:10s}{seconds:9.1f}{disk / 1e6:14.0f}{reads.count / K:16.2f}"
        f"{peak / 1e6:17.0f}{restarted:11d}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--limit", type=int, default=640, help="memory of a worker, MiB")
    parser.add_argument("--times", type=float, default=1.1, help="array over all memory")
    parser.add_argument("--memory", default="96 MiB", help="of one encoding task")
    options = parser.parse_args()
    limit = options.limit * 2**20
    columns = 8192
    rows = K * (int(options.times * WORKERS * limit) // (8 * columns * K) + 1)
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
            reads = Reads()
            cluster.scheduler.add_plugin(reads)
            print(f"array of {array.nbytes / 1e6:.0f} MB in {K} blocks, {N} chunks; ", end="")
            print(f"{WORKERS} workers of {limit / 1e6:.0f} MB; all answers are right")
            print("way         seconds  MB to disk  reads of a block  peak of a worker  restarts")
            for way in (plain, persisted, directly):
                print(measure(client, reads, way, array), flush=True)


if __name__ == "__main__":
    main()
