"""What the blocks' inner products cost beside the encoding.

Run with ``python -m benchmarks.sketching``. All are timed in turn, in one process and on data in
memory: the parity of k=8, n=12, and the sketches of all n chunks, as a whole and row by row.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from dask_bacc import coding
from dask_bacc.coding.kriging.rows.sketch import sketch_rows
from dask_bacc.coding.kriging.sketch import locate, sketch
from dask_bacc.coding.linear import combine_rows

K, N = 8, 12
#: In a block.
ROWS = 100
SIZES = (100_000, 2_000_000, 8_000_000)


def timed(call) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="numbers in a block")
    options = parser.parse_args()
    code = coding.Berrut(K, N, systematic=True)
    rng = np.random.default_rng(0)
    print(f"k={K}, n={N}: encoding; sketching all chunks, ratio; {ROWS} rows of them, ratio")
    for size in options.sizes:
        blocks = list(rng.normal(size=(K, size)) + rng.normal(size=size))
        parity = [np.empty(size) for _ in range(N - K)]
        sketches: dict[int, list[np.ndarray]] = {}

        def encode(blocks=blocks, parity=parity) -> None:
            combine_rows(code.generator[K:], blocks, parity)

        def sketch_all(blocks=blocks, parity=parity, sketches=sketches) -> None:
            sketches.update({i: [sketch(chunk)] for i, chunk in enumerate([*blocks, *parity])})

        def by_rows(blocks=blocks, parity=parity) -> None:
            for chunk in (*blocks, *parity):
                sketch_rows(chunk.reshape(ROWS, -1), axis=0)

        times = [(timed(encode), timed(sketch_all), timed(by_rows)) for _ in range(5)]
        encoding, sketching, rows = np.median(times, axis=0)
        stacked = np.stack(blocks)
        gram = stacked @ stacked.T
        gram *= K / np.trace(gram)
        worst = np.abs(locate(code, sketches).gram - gram).max()
        print(
            f"{8 * size / 1e6:6.1f} MB a block {1e3 * encoding:9.1f} ms {1e3 * sketching:9.1f} ms "
            f"{sketching / encoding:6.2f} {1e3 * rows:9.1f} ms {rows / encoding:6.2f}; "
            f"inner products are off by {worst:.3f}"
        )


if __name__ == "__main__":
    main()
