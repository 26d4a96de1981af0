"""What it costs that a function returns many numbers, in a list or in an array.

``python -m benchmarks.leaves`` prints the seconds that pass after the deadline until the answer is
there, with one of 20 chunks hung.
"""

from __future__ import annotations

import argparse
import time
import warnings
from typing import Any

import numpy as np
from distributed import Client, get_worker

import dask_bacc

HUNG = 3
COUNTS = (1, 100, 1000, 10_000)


def numbers(block: np.ndarray, count: int, kind: str) -> Any:
    """So many numbers, unless this chunk hangs."""
    if get_worker().get_current_task()[1] == HUNG:
        while not dask_bacc.should_stop():
            time.sleep(0.05)
        raise RuntimeError("cancelled")
    found = np.tanh(block @ np.random.default_rng(0).normal(size=(6, count))).sum(axis=0)
    return found.tolist() if kind == "list" else found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--counts", type=int, nargs="+", default=COUNTS, help="of numbers")
    parser.add_argument("--deadline", type=float, default=3.0, help="seconds")
    options = parser.parse_args()
    array = np.random.default_rng(0).normal(size=(160, 6))
    print(f"seconds after a deadline of {options.deadline:g} s, and those spent on solving")
    with Client(
        n_workers=1, threads_per_worker=20, processes=False, dashboard_address=None
    ) as client:
        coded = dask_bacc.encode(array, k=16, n=20)
        # What is imported and compiled once is not to be counted.
        coded.map(numbers, 2, "array", combine="stack", rtol=np.inf, client=client).result()
        for kind in ("array", "list"):
            for count in options.counts:
                begin = time.monotonic()
                run = coded.map(
                    numbers,
                    count,
                    kind,
                    combine="stack",
                    rtol=1e-3,
                    deadline=options.deadline,
                    client=client,
                )
                with warnings.catch_warnings(action="ignore"):
                    run.result()
                late = time.monotonic() - begin - options.deadline
                print(f"{count:6} numbers as {kind:5}: {late:5.2f} s, {run.report.solving:.2f} s")


if __name__ == "__main__":
    main()
