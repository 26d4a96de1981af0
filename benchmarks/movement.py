"""What encoding moves between workers, and what it takes in time, tasks and memory.

Run with ``python -m benchmarks.movement``; takes some six minutes and 8 GB, on Linux. Blocks are
held by worker processes; parity is made from them, and the bytes that workers send to each other
are read from distributed's own counters. ``--only`` picks parts: ``ways`` (each way to make
parity, side by side), ``blocks`` (8 to 128 of them) and ``bytes`` (blocks of 1 kB to 256 MB), both
beside a rechunk there and back, by either of Dask's methods, and NumPy's product in one process.
"""

from __future__ import annotations

import argparse
import logging
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass

import dask
import dask.array as da
import numpy as np
from dask.utils import parse_bytes
from distributed import Client, LocalCluster, futures_of, wait

import dask_bacc
from benchmarks import memory
from dask_bacc import coding

WORKERS = 8
WAYS = {"direct": 0, "gathered": 1, "split": None, "chosen": None}
COUNTS = (8, 16, 32, 64, 128)
SIZES = (0.001, 0.01, 0.1, 1, 4, 16, 64, 256)
#: Megabytes of a block from which costs are fitted: below, all is time of the scheduler.
LARGE = 4


@dataclass
class Costs:
    """Of one encoding, or rechunk."""

    #: bytes that workers sent
    moved: float
    seconds: float
    #: tasks beside those that make the source
    tasks: float
    #: bytes by which the worker that grew most grew
    grown: float
    #: workers that hold parity at the end
    homes: float = 0


def sent(client: Client) -> int:
    """Bytes that workers have sent so far."""
    counts = client.run(lambda dask_worker: dask_worker.transfer_outgoing_bytes_total)
    return sum(counts.values())


def way(name: str, parities: int) -> dask.config.set:
    """Have parity made that way, whatever the model says."""
    ways = {"direct": 0, "gathered": 1, "split": max(parities, 2), "chosen": None}
    return dask.config.set({"bacc.encode.slices": ways[name]})


def source(k: int, nbytes: int) -> da.Array:
    """Blocks of one row; a new array every time: what was moved before left copies behind."""
    length = max(nbytes // 8, k)
    array = da.random.random((k, length), chunks=(1, length)).persist()
    wait(array)
    return array


def watched(client: Client, build: Callable[[], object]) -> tuple[Costs, object]:
    """Costs of building a collection and computing it on the workers; and the collection."""
    pids = client.run(os.getpid).values()
    before, sizes = sent(client), memory.reset(pids)
    start = time.perf_counter()
    lazy = build()
    tasks = sum(
        1 for key in lazy.__dask_graph__() if not str(key[0]).startswith(("alone", "random"))
    )
    made = lazy.persist()
    wait(futures_of(made))
    seconds = time.perf_counter() - start
    largest = memory.largest(pids)
    grown = max(largest[pid] - size for pid, size in sizes.items())
    return Costs(sent(client) - before, seconds, tasks, grown), made


def encoding(client: Client, k: int, n: int, nbytes: int, name: str, code: str) -> Costs:
    array = source(k, nbytes)
    with way(name, n - k):
        costs, made = watched(client, lambda: dask_bacc.encode(array, n=n, code=code))
    own = made.code.own_blocks
    held = client.who_has([f for f in futures_of(made) if own[f.key[1]] < 0])
    costs.homes = len({worker for workers in held.values() for worker in workers})
    return costs


def rechunk(client: Client, k: int, nbytes: int, method: str) -> Costs:
    """There and back, as one would to combine blocks elementwise."""
    array = source(k, nbytes)
    _, length = array.shape

    def there_and_back() -> da.Array:
        return array.rechunk((k, -(-length // k))).rechunk((1, length))

    with dask.config.set({"array.rechunk.method": method}):
        return watched(client, there_and_back)[0]


def product(k: int, n: int, nbytes: int) -> float:
    """Seconds of NumPy's own product of a group's parity rows and blocks, for all groups."""
    code = coding.get_code("systematic", k, n, group_size=32)
    length = max(nbytes // 8, k)
    blocks = np.random.default_rng(0).random((k, length))
    pairs = []
    for part in code.groups:
        rows = [i for i in range(n)[part.chunks] if code.own_blocks[i] < 0]
        columns = np.unique(np.concatenate([code.row(i)[0] for i in rows]))
        pairs.append((code.generator[np.ix_(rows, columns)], columns[0], columns[-1] + 1))
    start = time.perf_counter()
    for matrix, first, stop in pairs:
        matrix @ blocks[first:stop]
    return time.perf_counter() - start


def median(costs: Sequence[Costs]) -> Costs:
    return Costs(*np.median([astuple(cost) for cost in costs], axis=0))


def ways(client: Client, k: int, sizes: Sequence[float], rounds: int, code: str) -> None:
    n = k * 5 // 4
    print(f"\nways to make parity: k={k}, n={n}, code {code}; bound {1.15 * n:.1f} blocks")
    print("block MB  way       blocks sent  seconds  tasks  grown by, blocks  workers with parity")
    for megabytes in sizes:
        nbytes = int(megabytes * 1e6)
        for name in WAYS:
            cost = median([encoding(client, k, n, nbytes, name, code) for _ in range(rounds)])
            print(
                f"{megabytes:8g}  {name:8s}  {cost.moved / nbytes:11.1f}  {cost.seconds:7.3f}"
                f"  {cost.tasks:5.0f}  {cost.grown / nbytes:16.1f}  {cost.homes:.0f}",
                flush=True,
            )


def growth(
    client: Client, cases: Sequence[tuple[int, float]], by: str, rounds: int, code: str
) -> None:
    """Costs of the chosen way beside a rechunk and NumPy, and the exponents of their growth.

    What a rechunk sends is that of the one by tasks: the counters know nothing of the other's.
    """
    print(f"\nby {by}, n = 1.25 k, code {code}; medians of {rounds}")
    print(
        "    k  block MB  blocks sent /n  rechunk's  tasks/n  rechunk's  seconds  p2p rechunk's"
        "  rechunk's by tasks  NumPy's  grown by MB  bound  rechunk's"
    )
    found: dict[str, list[float]] = {"bytes sent": [], "seconds": [], "tasks": [], "memory": []}
    fitted = []
    for k, megabytes in cases:
        n, nbytes = k * 5 // 4, int(megabytes * 1e6)
        turns = []
        for _ in range(rounds if k * megabytes < 1000 else 1):
            ours = encoding(client, k, n, nbytes, "chosen", code)
            p2p, by_tasks = (rechunk(client, k, nbytes, method) for method in ("p2p", "tasks"))
            turns.append((ours, p2p, by_tasks, product(k, n, nbytes)))
        ours, p2p, by_tasks = (median([turn[i] for turn in turns]) for i in range(3))
        # A task, and every parity chunk that a worker gets beside the pieces it is joined from.
        bound = parse_bytes(dask.config.get("bacc.encode.memory"))
        bound += 2 * nbytes * -(-(n - k) // WORKERS)
        numpy = float(np.median([turn[3] for turn in turns]))
        print(
            f"{k:5d}{megabytes:10g}{ours.moved / nbytes / n:16.2f}"
            f"{by_tasks.moved / nbytes / n:11.2f}{ours.tasks / n:9.1f}"
            f"{by_tasks.tasks / n:11.1f}{ours.seconds:9.3f}"
            f"{p2p.seconds:15.3f}{by_tasks.seconds:20.3f}{numpy:9.4f}"
            f"{ours.grown / 1e6:13.1f}{bound / 1e6:7.0f}{by_tasks.grown / 1e6:11.1f}",
            flush=True,
        )
        if by == "number of blocks" or megabytes >= LARGE:
            fitted.append(float(k if by == "number of blocks" else megabytes))
            for name, value in zip(found, astuple(ours), strict=False):
                found[name].append(value)
    if len(fitted) > 1:
        for name, values in found.items():
            slope = np.polyfit(np.log(fitted), np.log(values), 1)[0]
            since = "" if by == "number of blocks" else f" from {LARGE} MB on"
            print(f"growth of {name} with {by}{since}: to the power {slope:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=["ways", "blocks", "bytes"])
    parser.add_argument("--k", type=int, default=16, help="for ways and bytes")
    parser.add_argument("--counts", type=int, nargs="+", default=COUNTS, help="for blocks")
    parser.add_argument("--megabytes", type=float, nargs="+", help="of a block")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--code", default="systematic")
    options = parser.parse_args()
    parts = options.only or ["ways", "blocks", "bytes"]
    logging.getLogger("distributed.shuffle").setLevel(logging.ERROR)
    with (
        LocalCluster(
            n_workers=WORKERS,
            threads_per_worker=1,
            dashboard_address="127.0.0.1:0",
            memory_limit="4GiB",
        ) as cluster,
        Client(cluster) as client,
    ):
        # What is imported and started only once is no cost of the first case.
        encoding(client, 8, 10, 10**6, "split", options.code)
        for method in ("p2p", "tasks"):
            rechunk(client, 8, 10**6, method)
        if "ways" in parts:
            sizes = options.megabytes or (1, 16, 64)
            ways(client, options.k, sizes, options.rounds, options.code)
        if "blocks" in parts:
            for size in options.megabytes or (1, 16):
                cases = [(k, size) for k in options.counts if k * size <= 1100]
                growth(client, cases, "number of blocks", options.rounds, options.code)
        if "bytes" in parts:
            cases = [(options.k, size) for size in options.megabytes or SIZES]
            growth(client, cases, "bytes of a block", options.rounds, options.code)


if __name__ == "__main__":
    main()
