"""``map_blocks``, ``map_overlap`` and ``map`` beside what Dask has, undisturbed and in trouble.

Run with ``python -m benchmarks.front``; ratios are of things run in turn on one cluster of eight
worker processes of one thread each.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable

import dask.array as da
import numpy as np
from distributed import Client, LocalCluster, wait

import dask_bacc
from benchmarks.tail.throttled import SHARE, throttle
from dask_bacc.demo.trouble import in_trouble

#: Rows and columns of the array, and of its tiles.
SHAPE, TILE = (400, 800), (200, 200)
HALO = 2


def smoothed(block: np.ndarray, seconds: float) -> np.ndarray:
    time.sleep(seconds)  # stands in for compute time
    return block + np.roll(block, 1, axis=0)


def sleeps(number: int, seconds: float) -> int:
    time.sleep(seconds)
    return number


def burns(number: int, seconds: float) -> int:
    """Takes a processor's time, of which a throttled worker has little."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass
    return number


def timed(function: Callable[[], object]) -> float:
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


def in_turn(theirs: Callable[[], object], ours: Callable[[], object], pairs: int) -> list[float]:
    """Ratios of the second to the first, the first pair left out."""
    return [timed(ours) / timed(theirs) for _ in range(pairs + 1)][1:]


def blocks(client: Client, pids: list[int], pairs: int, seconds: float, trouble: bool) -> None:
    x = da.random.random(SHAPE, chunks=TILE).persist()
    wait(x)
    kinds = {
        "map_blocks": (da.map_blocks, dask_bacc.map_blocks, {}),
        "map_overlap": (
            da.map_overlap,
            dask_bacc.map_overlap,
            {"depth": HALO, "boundary": "reflect"},
        ),
    }
    for name, (theirs, ours, options) in kinds.items():
        expected = theirs(smoothed, x, seconds=0.0, dtype=float, **options).compute()

        def dask_has(theirs=theirs, options=options) -> np.ndarray:
            return theirs(smoothed, x, seconds=seconds, dtype=float, **options).compute()

        def we_have(ours=ours, options=options) -> np.ndarray:
            return ours(smoothed, x, seconds=seconds, dtype=float, **options).compute()

        np.testing.assert_array_equal(we_have(), expected)
        ratio = np.median(in_turn(dask_has, we_have, pairs))
        print(f"{name}, {seconds} s a block: {ratio:.3f} times dask's ({pairs} pairs)", flush=True)
        if not trouble:
            continue
        undisturbed = timed(we_have)
        # Of data that only the stopped worker has nobody could know; a run without it.
        y = da.from_array(np.asarray(x), chunks=TILE)
        troubled = []
        for stopped, slowed in (([pids[0]], []), ([], [pids[1]])):
            with in_trouble(stopped, slowed):
                troubled.append(
                    timed(ours(smoothed, y, seconds=seconds, dtype=float, **options).compute)
                )
            client.gather(client.map(abs, range(32), pure=False))
        print(
            f"{name}, one of 8 stopped: {troubled[0] / undisturbed:.2f} times undisturbed; "
            f"slowed to a tenth: {troubled[1] / undisturbed:.2f} times",
            flush=True,
        )


def params(client: Client, pids: list[int], pairs: int) -> None:
    sets = list(range(2000))
    ratio = np.median(
        in_turn(
            lambda: client.gather(client.map(sleeps, sets, seconds=0.005, pure=False)),
            lambda: dask_bacc.map(sleeps, sets, kwargs={"seconds": 0.005}).result(),
            pairs,
        )
    )
    print(f"map, 2,000 sets of 5 ms: {ratio:.2f} times client.map and gather", flush=True)
    few = list(range(64))
    cost = 0.1

    def go() -> None:
        assert dask_bacc.map(burns, few, kwargs={"seconds": cost}).result() == few

    usual = np.median([timed(go) for _ in range(3)])
    with throttle(pids[2], SHARE):
        found = [timed(go) for _ in range(4)]
    print(
        f"map, 64 sets of {cost} s of a processor, one of 8 workers throttled to {SHARE:g}: "
        + ", ".join(f"{s / usual:.2f}" for s in found)
        + " times undisturbed",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.front", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--only", nargs="+", choices=("blocks", "map"), default=["blocks", "map"])
    parser.add_argument("--undisturbed", action="store_true", help="without workers in trouble")
    options = parser.parse_args()
    with (
        LocalCluster(
            n_workers=8, threads_per_worker=1, dashboard_address="127.0.0.1:0"
        ) as cluster,
        Client(cluster) as client,
    ):
        pids = sorted(client.run(os.getpid).values())
        if "blocks" in options.only:
            blocks(client, pids, options.pairs, options.seconds, not options.undisturbed)
        if "map" in options.only:
            params(client, pids, options.pairs)


if __name__ == "__main__":
    main()
