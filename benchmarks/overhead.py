"""What a run costs when nothing is wrong: against ``client.map`` and ``gather``.

Run with ``python -m benchmarks.overhead``. Both are timed in turn in one process, on eight worker
processes, over blocks that the workers already hold, so the ratio of a pair says what the coding
runtime adds.
"""

from __future__ import annotations

import argparse
import statistics
import time

import dask.array as da
import numpy as np
from distributed import Client, LocalCluster, futures_of, wait

import dask_bacc

BLOCKS = 8


def work(block: np.ndarray, seconds: float) -> np.ndarray:
    """Compute for about `seconds`; the sleep stands in for compute time."""
    time.sleep(seconds)
    return block.mean(axis=1)


def timed(function) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=25)
    parser.add_argument("--seconds", type=float, default=0.5, help="of compute per block")
    options = parser.parse_args()
    with (
        LocalCluster(
            n_workers=BLOCKS, threads_per_worker=1, dashboard_address="127.0.0.1:0"
        ) as cluster,
        Client(cluster) as client,
    ):
        array = da.random.random((BLOCKS * 500, 250), chunks=(500, 250)).persist()
        wait(array)
        blocks = sorted(futures_of(array), key=lambda future: future.key)
        coded = dask_bacc.encode(array, n=BLOCKS, code="uncoded")
        expected = np.concatenate(client.gather(client.map(work, blocks, seconds=0)))

        def plain() -> None:
            futures = client.map(work, blocks, seconds=options.seconds, pure=False)
            np.concatenate(client.gather(futures))

        def run() -> None:
            coded.map(work, options.seconds).result()

        np.testing.assert_array_equal(coded.map(work, 0).result(), expected)
        plain(), run()
        pairs = [(timed(plain), timed(run)) for _ in range(options.pairs)]
    ratios = [ours / theirs for theirs, ours in pairs]
    low, middle, high = np.percentile(ratios, [25, 50, 75])
    print(f"client.map + gather   {statistics.median(p for p, _ in pairs):.3f} s (median)")
    print(f"run, uncoded k=n={BLOCKS}    {statistics.median(r for _, r in pairs):.3f} s (median)")
    print(f"ratio of pairs        {middle:.3f} (quartiles {low:.3f} to {high:.3f})")


if __name__ == "__main__":
    main()
