"""What encoding moves between workers, and what it takes: each way to make parity, side by side.

Run with ``python -m benchmarks.movement``. Blocks are held by worker processes; parity is made
from them, and the bytes that workers send to each other are read from distributed's own counters.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import dask.array as da
import numpy as np
from distributed import Client, LocalCluster, futures_of, wait

import dask_bacc
from dask_bacc.cluster import parity

WORKERS = 8
WAYS = {"direct": 0, "gathered": 1, "split": None, "chosen": None}


def sent(client: Client) -> int:
    """Bytes that workers have sent so far."""
    counts = client.run(lambda dask_worker: dask_worker.transfer_outgoing_bytes_total)
    return sum(counts.values())


def most_memory(client: Client) -> float:
    """Largest managed memory of a worker."""
    held = client.run(lambda dask_worker: dask_worker.state.nbytes)
    return max(held.values())


@contextmanager
def way(name: str, parities: int) -> Iterator[None]:
    """Have parity made that way, whatever the model says."""
    if name == "chosen":
        yield
        return
    slices = {"direct": 0, "gathered": 1, "split": max(parities, 2)}[name]
    with mock.patch.object(parity, "choose_slices", return_value=slices):
        yield


def measure(client: Client, k: int, n: int, nbytes: int, name: str, code: str, rounds: int):
    """Bytes sent over a block's, seconds, tasks and workers that hold parity at the end."""
    rows = max(nbytes // 8 // 64, 1)
    seconds, moved, tasks, homes = [], [], 0, 0
    for _ in range(rounds):
        # A new array every time: what was moved before has left copies where it went.
        array = da.random.random((k * rows, 64), chunks=(rows, 64)).persist()
        wait(array)
        with way(name, n - k):
            coded = dask_bacc.encode(array, n=n, code=code)
        graph = coded.__dask_graph__()
        tasks = sum(1 for key in graph if not str(key[0]).startswith(("alone", "random")))
        before = sent(client)
        start = time.perf_counter()
        made = coded.persist()
        futures = [f for f in futures_of(made) if coded.code.own_blocks[f.key[1]] < 0]
        wait(futures_of(made))
        seconds.append(time.perf_counter() - start)
        moved.append((sent(client) - before) / (rows * 64 * 8))
        where = client.who_has(futures)
        homes = len({worker for workers in where.values() for worker in workers})
        del made, futures, coded, graph, array
        time.sleep(0.1)
    return float(np.median(moved)), float(np.median(seconds)), tasks, homes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--k", type=int, default=16)
    parser.add_argument("--n", type=int, default=20)
    parser.add_argument("--megabytes", type=float, nargs="+", default=[0.001, 0.1, 1, 4, 16])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--code", default="systematic")
    options = parser.parse_args()
    k, n = options.k, options.n
    with (
        LocalCluster(
            n_workers=WORKERS, threads_per_worker=1, dashboard_address="127.0.0.1:0"
        ) as cluster,
        Client(cluster) as client,
    ):
        print(f"k={k}, n={n}, {WORKERS} workers, code {options.code}; bound {1.15 * n:.1f} blocks")
        print("block MB  way       blocks sent  seconds  tasks  workers with parity")
        for megabytes in options.megabytes:
            for name in WAYS:
                row = measure(
                    client, k, n, int(megabytes * 1e6), name, options.code, options.rounds
                )
                print(
                    "{:8g}  {:8s}  {:11.1f}  {:7.3f}  {:5d}  {:d}".format(megabytes, name, *row),
                    flush=True,
                )


if __name__ == "__main__":
    main()
