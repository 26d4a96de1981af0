"""How costs grow with the number and the size of blocks, and what a run costs at scale.

Run with ``python -m benchmarks.scaling``; takes about ten minutes and writes
``docs/images/scaling.png``. ``--only`` picks parts: ``blocks`` (from 8 to 2,048 of them),
``memory`` (of client and scheduler, for as many), ``rounds`` (a persisted array mapped again and
again), ``answer`` (4 GB decoded on the cluster). Client, scheduler and workers are processes of
their own. Ratios are of things run in turn in one process.
"""

from __future__ import annotations

import argparse
import gc
import os
import time
import tracemalloc
import warnings
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import dask.array as da
import matplotlib as mpl
import numpy as np
import psutil
from distributed import Client, futures_of, wait

import dask_bacc
from benchmarks import figures
from benchmarks.memory import largest, reset
from benchmarks.processes.cluster import Cluster

mpl.use("agg")
from matplotlib import pyplot as plt

PARTS = ("blocks", "memory", "rounds", "answer")
COUNTS = (8, 32, 128, 512, 2048)
#: Blocks from which growth is fitted: below, all is what a run takes whatever their number.
LARGE, LARGE_MEMORY = 128, 32
#: A rechunk there and back of more blocks takes longer than all the rest.
MOST_TO_RECHUNK = 512


def trivial(block: np.ndarray) -> np.ndarray:
    return block + 1


def scaled(block: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return np.tanh(block * weights)


def larger(block: np.ndarray, copies: int) -> np.ndarray:
    return np.repeat(block, copies, axis=1)


def timed(function: Callable[[], object]) -> float:
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


def scheduler_seconds(client: Client) -> float:
    """Time that the scheduler's process has used of a processor."""
    times = psutil.Process(client.run_on_scheduler(os.getpid)).cpu_times()
    return times.user + times.system


def growth(name: str, counts: Sequence[int], values: Sequence[float], least: int) -> float:
    """Exponent of the power of the count that values grow with; NaN for a single large count."""
    large = np.log([pair for pair in zip(counts, values, strict=True) if pair[0] >= least])
    power = float(np.polyfit(large[:, 0], large[:, 1], 1)[0]) if len(large) > 1 else np.nan
    print(f"growth of {name} from k={least} on: k to the {power:.2f}")
    return power


def ratios(pairs: list[tuple[float, float]]) -> tuple[float, float]:
    """Median of the second over the first, and median of the first."""
    return (
        float(np.median([ours / theirs for theirs, ours in pairs])),
        float(np.median([theirs for theirs, _ in pairs])),
    )


class Case:
    """Blocks of 8 kB on the workers, and what is done with them."""

    def __init__(self, client: Client, k: int) -> None:
        self.client, self.k, self.n = client, k, k * 5 // 4
        self.array = da.random.random((k, 1000), chunks=(1, 1000)).persist()
        wait(self.array)

    def encode(self) -> None:
        """On the workers, and it stays there."""
        coded = dask_bacc.encode(self.array, n=self.n)
        combined = [
            key
            for key in coded.__dask_graph__()
            if not str(key[0]).startswith(("alone", "random"))
        ]
        #: tasks of the encoding
        self.tasks = len(combined)
        self.coded = coded.persist()
        self.chunks = futures_of(self.coded)
        wait(self.chunks)

    def busy(self, function: Callable[[], object]) -> float:
        """Milliseconds of the scheduler's processor for each chunk."""
        # The system counts in hundredths of a second.
        repeats = max(1280 // self.n, 1)
        before = scheduler_seconds(self.client)
        for _ in range(repeats):
            function()
        return 1000 * (scheduler_seconds(self.client) - before) / (repeats * self.n)

    def rechunk(self) -> None:
        """There and back, as one would to combine blocks elementwise."""
        columns = max(1000 // self.k, 1)
        wait(self.array.rechunk((self.k, columns)).rechunk((1, 1000)).persist())

    def plain(self) -> None:
        """Plain Dask over the same chunks."""
        self.client.gather(self.client.map(trivial, self.chunks, pure=False))

    def default(self) -> None:
        """A run as it is by default: until every block's result is there, or fewer do."""
        self.coded.map(trivial).result()

    def run(self) -> None:
        """A run that waits for all results it can use."""
        self.coded.map(trivial, enough=self.n).result()

    def backup(self) -> None:
        """A run that launches parity only if chunks are late."""
        self.coded.map(trivial, launch="backup").result()

    def lossy(self) -> None:
        """A run that goes without the last twentieth."""
        self.coded.map(trivial, enough=self.n - self.n // 20, rtol=np.inf).result()


def over_blocks(client: Client, counts: Sequence[int], rounds: int, path: Path) -> None:
    """Runs over so many blocks of 8 kB, against ``client.map`` over as many tasks."""
    print("\nruns over k blocks of 8 kB held by workers, n = 1.25 k; 8 worker processes")
    print("and the scheduler's milliseconds for each chunk of client.map, run and encoding")
    print(
        f"{'k':>6}{'n':>6}{'client.map s':>14}{'run s':>8}{'ratio':>7}{'default':>9}{'backup':>8}"
        f"{'with losses s':>15}{'encode s':>10}{'rechunk s':>11}{'tasks/chunk':>13}{'map ms':>8}"
        f"{'run ms':>8}{'encode ms':>11}"
    )
    columns: dict[str, list[float]] = {"client.map": [], "run": [], "encode": []}
    for k in counts:
        case = Case(client, k)
        before, begin = scheduler_seconds(client), time.perf_counter()
        case.encode()
        encoding = time.perf_counter() - begin
        encode_ms = 1000 * (scheduler_seconds(client) - before) / case.n
        case.plain(), case.run(), case.default(), case.backup(), case.lossy()
        ratio, base = ratios([(timed(case.plain), timed(case.run)) for _ in range(rounds)])
        default, _ = ratios([(timed(case.plain), timed(case.default)) for _ in range(rounds)])
        held_back, _ = ratios([(timed(case.plain), timed(case.backup)) for _ in range(rounds)])
        losses = float(np.median([timed(case.lossy) for _ in range(3)]))
        map_ms, run_ms = case.busy(case.plain), case.busy(case.run)
        rechunking = timed(case.rechunk) if k <= MOST_TO_RECHUNK else np.nan
        print(
            f"{k:6}{case.n:6}{base:14.3f}{base * ratio:8.3f}{ratio:7.2f}{default:9.2f}"
            f"{held_back:8.2f}{losses:15.3f}{encoding:10.3f}{rechunking:11.3f}"
            f"{case.tasks / case.n:13.2f}{map_ms:8.2f}{run_ms:8.2f}{encode_ms:11.2f}",
            flush=True,
        )
        for name, seconds in zip(columns, (base, base * ratio, encoding), strict=True):
            columns[name].append(seconds)
        del case
        gc.collect()
    figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
    for name, seconds in columns.items():
        slope = growth(name, counts, seconds, LARGE)
        ax.loglog(counts, seconds, "o-", label=f"{name}, k$^{{{slope:.2f}}}$")
    ax.set_xlabel("blocks of 8 kB, with a quarter more chunks")
    ax.set_ylabel("seconds")
    ax.set_xticks(counts, map(str, counts))
    ax.minorticks_off()
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False)
    figures.save(figure, path)


def memory(client: Client, counts: Sequence[int]) -> None:
    """What client and scheduler allocate for an encoding and a run, most and in the end."""
    print("\nmemory that Python allocates for encoding and a run over blocks of 8 kB, in MB")
    print(f"{'k':>6}{'n':>6}{'client, most':>14}{'held':>7}{'scheduler, most':>17}{'held':>7}")
    rows = []
    for k in counts:
        case = Case(client, k)
        for where in (lambda call: call(), client.run_on_scheduler):
            where(gc.collect)
            where(tracemalloc.start)
        case.encode()
        case.run()
        row = []
        for where in (lambda call: call(), client.run_on_scheduler):
            where(gc.collect)
            held, most = where(tracemalloc.get_traced_memory)
            row += [most / 1e6, held / 1e6]
            where(tracemalloc.stop)
        print("{:6}{:6}{:14.2f}{:7.2f}{:17.2f}{:7.2f}".format(k, case.n, *row), flush=True)
        rows.append(row)
        del case
        gc.collect()
    names = ("client, most", "client, held", "scheduler, most", "scheduler, held")
    for name, values in zip(names, zip(*rows, strict=True), strict=True):
        growth(name, counts, values, LARGE_MEMORY)


def many_rounds(client: Client, rounds: int) -> None:
    """A persisted array mapped with new arguments, against ``client.map`` over its chunks."""
    k, n = 64, 80
    array = da.random.random((k * 10, 1000), chunks=(10, 1000)).persist()
    wait(array)
    coded = dask_bacc.encode(array, n=n).persist()
    wait(futures_of(coded))
    chunks = futures_of(coded)
    weights = np.random.default_rng(0).normal(size=1000)
    coded.map(scaled, weights, enough=n).result()

    def plain() -> None:
        client.gather(client.map(scaled, chunks, weights=weights, pure=False))

    def run() -> None:
        coded.map(scaled, weights, enough=n).result()

    plain(), run()
    ratio, base = ratios([(timed(plain), timed(run)) for _ in range(rounds)])
    print(
        f"\nrounds on a persisted array, k={k}, n={n}, blocks of 80 kB: a run takes {ratio:.3f} "
        f"times client.map and gather ({base:.3f} s), median of {rounds} pairs"
    )


def large_answer(copies: int) -> None:
    """An answer of 4 MB times the copies: decoded and summed on the cluster.

    This process stays small meanwhile.
    """
    k, n = 64, 80
    blocks = np.random.default_rng(0).normal(size=(k * 8, 1000)).cumsum(axis=0) / 100
    array = da.from_array(blocks, chunks=(8, 1000)).persist()
    coded = dask_bacc.encode(array, n=n)
    me = [os.getpid()]
    before = reset(me)[me[0]]
    begin = time.perf_counter()
    run = coded.map(larger, copies, enough=n - 6, rtol=np.inf)
    answer = run.to_dask_array()
    decided = time.perf_counter() - begin
    total = answer.sum().compute()
    seconds = time.perf_counter() - begin
    off = abs(total / copies - blocks.sum()) / np.abs(blocks).sum()
    print(
        f"\nanswer of {answer.nbytes / 1e9:.1f} GB, {len(run.report.returned)} of {n} results: "
        f"decided after {decided:.1f} s, summed after {seconds:.1f} s; this process grew by "
        f"{(largest(me)[me[0]] - before) / 1e6:.0f} MB at most; the sum is off by {off:.1e} of "
        "the values' sum"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=PARTS)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--counts", type=int, nargs="+", default=COUNTS, help="of blocks")
    parser.add_argument("--copies", type=int, default=1000, help="of blocks in the answer")
    figures.add_option(parser, "scaling.png")
    options = parser.parse_args()
    parts = options.only or PARTS
    warnings.simplefilter("ignore", RuntimeWarning)
    with closing(Cluster(8)) as cluster, cluster.client() as client, client.as_current():
        if "blocks" in parts:
            over_blocks(client, options.counts, options.rounds, options.figure)
        if "memory" in parts:
            memory(client, options.counts)
        if "rounds" in parts:
            many_rounds(client, 3 * options.rounds)
        if "answer" in parts:
            large_answer(options.copies)


if __name__ == "__main__":
    main()
