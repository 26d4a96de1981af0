"""What decoding on the cluster moves between workers, and what it takes: each way, side by side.

Run with ``python -m benchmarks.decoding``. No chunk of the code is a block, so every block is made
of all results, which stay on the workers; the bytes that workers send to each other are read from
distributed's own counters.
"""

from __future__ import annotations

import argparse
import time

import dask
import numpy as np
from distributed import Client, LocalCluster, futures_of, wait

import dask_bacc
from benchmarks.movement import WORKERS, sent

WAYS = {"direct": 0, "gathered": 1, "split": 8, "chosen": None}


def way(slices: int | None) -> dask.config.set:
    """Decode that way, whatever the model says; None for what it says."""
    return dask.config.set({"bacc.encode.slices": slices})


def large(block: np.ndarray, length: int) -> np.ndarray:
    """A result of so many float64 numbers."""
    return np.resize(block, (length // 64, 64))


def measure(
    client: Client, k: int, n: int, nbytes: int, slices: int | None
) -> tuple[float, float, int]:
    """Bytes sent over a result's, seconds, and tasks."""
    coded = dask_bacc.encode(np.random.default_rng(0).random((k, 1000)), k=k, n=n, code="berrut")
    with dask.config.set({"bacc.gather-limit": 0}), way(slices):
        run = coded.map(large, nbytes // 8, enough=n, client=client)
        while run.status == "pending":
            time.sleep(0.01)
        # If there are workers to keep off, decoding starts here.
        before = sent(client)
        start = time.perf_counter()
        answer = run.to_dask_array()
    decoded = answer.persist()
    wait(futures_of(decoded))
    seconds = time.perf_counter() - start
    tasks = len(answer.__dask_graph__()) - n
    return (sent(client) - before) / nbytes, seconds, tasks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--k", type=int, default=16)
    parser.add_argument("--n", type=int, default=20)
    parser.add_argument("--megabytes", type=float, nargs="+", default=[0.1, 1, 4, 16])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    k, n = options.k, options.n
    with (
        LocalCluster(
            n_workers=WORKERS, threads_per_worker=1, dashboard_address="127.0.0.1:0"
        ) as cluster,
        Client(cluster) as client,
    ):
        print(f"k={k}, n={n}, {WORKERS} workers, code berrut; bound {1.15 * (k + n):.1f} results")
        print("result MB  way       results sent  seconds  tasks")
        for megabytes in options.megabytes:
            nbytes = int(megabytes * 1e6) // 512 * 512
            for name, slices in WAYS.items():
                rounds = [measure(client, k, n, nbytes, slices) for _ in range(options.rounds)]
                row = np.median(rounds, axis=0)
                print(
                    f"{megabytes:9g}  {name:8s}  {row[0]:12.1f}  {row[1]:7.3f}  {row[2]:5.0f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
