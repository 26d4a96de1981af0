"""How long decoding takes beside processes that use all cores, with the threads that users have.

Run with ``python -m benchmarks.busy``; takes about two minutes. As many processes as cores do
nothing but compute. Beside them decoders run in fresh processes, in turn with no environment
variable of BLAS set and with ``OPENBLAS_NUM_THREADS=1``. Then, with nothing beside it, one fit of
39 results over one eigenvalue decomposition of as many.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Sequence
from time import perf_counter

import numpy as np

from dask_bacc import coding
from dask_bacc.coding.threads import one_thread

#: Rows of a block, one number for each case.
ROWS = (12, 100, 1000)
#: Numbers in a row, outputs of a row.
LENGTH, OUTPUTS = 20, 3
MISSING = (1, 4, 9, 11)
#: Variables that say how many threads BLAS is to start.
VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


def spin() -> None:
    """Use a core until the process is ended."""
    while True:
        pass


def decoding_times(cases: Sequence[int], repeats: int) -> list[float]:
    """Median seconds of decoding (8, 12) by rows with four chunks missing, for each case."""
    rng = np.random.default_rng(0)
    medians = []
    for rows in cases:
        code = coding.get_code("systematic", 8, 12)
        blocks = rng.random((8, rows, LENGTH))
        weights = rng.standard_normal((LENGTH, OUTPUTS)) / np.sqrt(LENGTH)
        chunks = code.encode(blocks)
        results = {i: np.tanh(chunks[i] @ weights) for i in range(12) if i not in MISSING}
        times = []
        for _ in range(repeats):
            begin = perf_counter()
            coding.decode(code, results, rows=blocks)
            times.append(perf_counter() - begin)
        medians.append(float(np.median(times)))
    return medians


def in_fresh_process(cases: Sequence[int], repeats: int, **variables: str) -> list[float]:
    """The same in a process with these variables of BLAS and no others."""
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    command = [sys.executable, "-m", "benchmarks.busy", "--measure", str(repeats)]
    command += ["--rows", *map(str, cases)]
    done = subprocess.run(
        command, env=environment | variables, capture_output=True, check=True, text=True
    )
    times: list[float] = json.loads(done.stdout)
    return times


def fit_times(k: int, n: int, repeats: int) -> tuple[float, float]:
    """Shortest seconds of one fit and decoder of all results but one, and of one ``eigh``."""
    rng = np.random.default_rng(0)
    code = coding.Berrut(k, n, systematic=True)
    blocks = rng.normal(size=300) + 0.5 * rng.normal(size=(k, 300))
    results = np.tanh(code.encode(blocks) @ rng.normal(size=(300, 200)) / 17)
    returned = {i: result for i, result in enumerate(results) if i != 1}
    gram = blocks @ blocks.T
    square = rng.normal(size=(n, n))
    square = square @ square.T
    fits, units = [], []
    for _ in range(repeats):
        begin = perf_counter()
        coding.decode(code, returned, "kriging", gram)
        fits.append(perf_counter() - begin)
        with one_thread():
            # The first one finds nothing in the cache.
            for _ in range(5):
                begin = perf_counter()
                np.linalg.eigh(square)
                units.append(perf_counter() - begin)
    return min(fits), min(units)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, nargs="+", default=ROWS, help="of a block")
    parser.add_argument("--measure", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure is not None:
        print(json.dumps(decoding_times(options.rows, options.measure)))
        return
    cores = os.cpu_count() or 1
    context = multiprocessing.get_context("spawn")
    busy = [context.Process(target=spin, daemon=True) for _ in range(cores)]
    for process in busy:
        process.start()
    default, single = [], []
    try:
        for _ in range(options.rounds):
            default.append(in_fresh_process(options.rows, 3))
            single.append(in_fresh_process(options.rows, 3, OPENBLAS_NUM_THREADS="1"))
    finally:
        for process in busy:
            process.terminate()
            process.join()
    print(f"decoding 8 of 12 results by rows, {cores} busy processes on {cores} cores, seconds")
    print("  rows   default threads   one thread   ratio")
    medians = (np.median(times, axis=0) for times in (default, single))
    for rows, ours, theirs in zip(options.rows, *medians, strict=True):
        print(f"  {rows:4}{ours:18.3f}{theirs:13.3f}{ours / theirs:8.2f}")
    fit, unit = fit_times(32, 40, 30)
    print(f"\nfit of 39 results, in eigenvalue decompositions: {fit / unit:.0f}")


if __name__ == "__main__":
    main()
