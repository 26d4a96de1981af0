"""What a run takes from the last result that it needs to its answer, and fits of this.

Run with ``python -m benchmarks.answering``. Twelve workers, eight blocks in twelve chunks,
results of 100 numbers; chunks take seconds by a Pareto law, in which they sleep or, with
``--busy``, compute.
"""

from __future__ import annotations

import argparse
import math
import time

import numpy as np
from distributed import Client, LocalCluster

import dask_bacc
from benchmarks.tail.systems import pause, settle

K, N = 8, 12
WEIGHTS = np.random.default_rng(0).normal(size=(20, 100)) / 4


def work(block: np.ndarray, seed: int, busy: bool) -> np.ndarray:
    """One hundred numbers of a block, later."""
    # Of a chunk, which no two have a number in common with.
    draw = np.random.default_rng([seed, abs(hash(float(block[0, 0]))) % 2**32])
    seconds = 0.1 * (1 + draw.pareto(1.5))
    end = time.perf_counter() + seconds
    if not busy:
        pause(seconds)
    while busy and time.perf_counter() < end and not dask_bacc.should_stop():
        pass
    return np.asarray(np.tanh(block @ WEIGHTS)).mean(axis=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=40, help="of which exact ones do not count")
    parser.add_argument("--busy", action="store_true", help="compute instead of sleeping")
    options = parser.parse_args()
    rng = np.random.default_rng(1)
    x = (rng.normal(size=(1, 50, 20)) + 0.3 * rng.normal(size=(K, 50, 20))).reshape(-1, 20)
    with (
        LocalCluster(n_workers=N, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        coded = dask_bacc.encode(x, k=K, n=N).persist()
        after, solving = [], []
        for turn in range(options.rounds):
            run = coded.map(work, turn, options.busy, rtol=math.inf)
            run.result()
            report = run.report
            if report.error:
                came = [report.chunks[chunk].ended for chunk in report.returned]
                after.append(report.seconds - max(came))
                solving.append(report.solving)
            settle(client)
    for what, seconds in (("last result to answer", after), ("of this, solving", solving)):
        low, middle, high = 1e3 * np.quantile(seconds, [0.1, 0.5, 0.9])
        print(f"{what:24}{middle:6.1f} ms (10% {low:.1f}, 90% {high:.1f}), {len(seconds)} runs")
    print(f"the first run: {1e3 * after[0]:.1f} ms")


if __name__ == "__main__":
    main()
