"""What the live picture of a run costs: time, over that between two pictures, and bytes.

Run with ``python -m benchmarks.display``.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from dask_bacc.display.html import run_html
from dask_bacc.progressbar import NOTEBOOK_INTERVAL, PER_CHUNK
from dask_bacc.records.state import RunState


def halfway(n: int) -> RunState:
    """A run half of whose chunks have returned, a quarter run and a quarter wait."""
    state = RunState(k=2 * n // 3, n=n, decoder="kriging")
    for chunk in range(3 * n // 4):
        state.start(chunk, f"tcp://10.0.0.{chunk % 64}:4000")
    for chunk in range(n // 2):
        state.take_result(chunk)
    return state


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--counts", type=int, nargs="+", default=[12, 100, 320, 2560])
    args = parser.parse_args()
    print(f"{'chunks':>8}{'a picture':>14}{'of the time':>14}{'bytes':>10}")
    for n in args.counts:
        state, times, html = halfway(n), [], ""
        for _ in range(args.rounds):
            begin = time.perf_counter()
            html = run_html("pending", state.report())
            times.append(time.perf_counter() - begin)
        taken = float(np.median(times))
        share = taken / max(NOTEBOOK_INTERVAL, PER_CHUNK * n)
        print(f"{n:8}{1e3 * taken:11.2f} ms{share:14.2%}{len(html):10,}")


if __name__ == "__main__":
    main()
