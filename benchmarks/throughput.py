"""Encoding and decoding on one in-process worker, against the same product in NumPy.

Run with ``python -m benchmarks.throughput``. The data is in memory; each is timed in turn, and the
ratio is of the medians. Threads are those that the processors used, on average.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import dask.array as da
import numpy as np
from distributed import Client, LocalCluster, futures_of, wait

import dask_bacc
from dask_bacc import coding
from dask_bacc.coding.linear import combine_rows


def timed(function: Callable[[], object]) -> tuple[float, float]:
    """Seconds on the clock and of all processors."""
    clock, used = time.perf_counter(), time.process_time()
    function()
    return time.perf_counter() - clock, time.process_time() - used


def line(name: str, times: list[tuple[float, float]], nbytes: int, base: float | None) -> float:
    seconds, used = np.median(times, axis=0)
    ratio = "" if base is None else f"{base / seconds:6.2f}"
    print(
        f"{name:34s} {seconds:7.3f} s {nbytes / seconds / 1e9:6.2f} GB/s "
        f"{used / seconds:5.1f} {ratio}"
    )
    return float(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--k", type=int, default=8)
    parser.add_argument("--n", type=int, default=12)
    options = parser.parse_args()
    k, n = options.k, options.n
    length = options.megabytes * 10**6 // 8 // k
    x = np.random.default_rng(0).normal(size=(k, length))
    code = coding.get_code("systematic", k, n)
    generator = code.generator
    lost = [0, 1]
    results = [row for i, row in enumerate(code.encode(x)) if i not in lost][:k]
    weights = np.linalg.inv(generator[[i for i in range(n) if i not in lost][:k]])
    weights[np.abs(weights) < 1e-12] = 0
    stacked = np.stack(results)
    answer = np.empty((k, length))
    with (
        LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None
        ) as cluster,
        Client(cluster) as client,
    ):
        array = da.from_array(x.reshape(-1), chunks=length).persist()
        wait(array)

        def encode() -> None:
            coded = dask_bacc.encode(array, n=n).persist()
            wait(futures_of(coded))

        ways: dict[str, Callable[[], object]] = {
            "G @ X in NumPy": lambda: generator @ x,
            "encode on the worker": encode,
            "D @ V in NumPy": lambda: weights @ stacked,
            "decode": lambda: combine_rows(weights, results, list(answer)),
        }
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        for _ in range(options.rounds):
            for name, way in ways.items():
                times[name].append(timed(way))
        assert client.status == "running"
    print(f"{options.megabytes} MB, k={k}, n={n}: median; per second of source; threads; ratio")
    base = None
    for name in ways:
        seconds = line(name, times[name], x.nbytes, None if "NumPy" in name else base)
        base = seconds if "NumPy" in name else base


if __name__ == "__main__":
    main()
