"""How many blocks a group should have, which blocks, and in what order: kriging and Berrut.

Run with ``python -m benchmarks.grouping``; takes some minutes. Blocks are mapped by functions of
the accuracy benchmark, some chunks are lost, and the rest is decoded.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Sequence
from functools import partial

import numpy as np

from benchmarks.workloads import FUNCTIONS, fields
from dask_bacc import coding

K, N = 256, 320
SIZES = (8, 16, 32, 64, 128)
LOST = 0.08
WORKERS = 16
PATTERNS = ("random", "worker, neighbours", "worker, spread")
TRIED = ("sigmoid", "tanh network", "ReLU network")
SYSTEMATIC = partial(coding.Berrut, systematic=True)


def clustered(rng: np.random.Generator, k: int, shape: tuple[int, ...]) -> np.ndarray:
    """Blocks around eight centres, in random order."""
    centres = rng.normal(size=(8, *shape))
    return centres[rng.integers(8, size=k)] + 0.2 * rng.normal(size=(k, *shape))


def blocks_of(kind: str, k: int, rng: np.random.Generator) -> np.ndarray:
    if kind == "clustered":
        return clustered(rng, k, (15, 20))
    if kind == "smooth":
        # As many waves to a block whatever the number of blocks.
        position = np.arange(k) / 8
        waves = np.cos(np.pi * np.linspace(0, 0.5, 12)[:, None] * position)
        return np.einsum("wk,w...->k...", waves, rng.normal(size=(12, 15, 20))) / 3
    return fields(rng, k, kind, (15, 20))


def interleaved(code: coding.Code) -> coding.Code:
    """The same groups of blocks that lie far apart."""
    count = len(code.groups)
    order = np.concatenate([np.arange(start, code.k, count) for start in range(count)])
    return coding.Reordered(code, order)


def lost_chunks(code: coding.Code, pattern: str, rng: np.random.Generator) -> np.ndarray:
    """Chunks at random, or those of one worker that holds neighbours or every so many-th."""
    if pattern == "random":
        return rng.permutation(code.n)[: round(LOST * code.n)]
    home = np.where(code.own_blocks >= 0, code.own_blocks, code.k + np.arange(code.n))
    last = rng.integers(WORKERS)
    if pattern == "worker, neighbours":
        return np.flatnonzero(home * WORKERS // (code.k + code.n) == last % 7)
    return np.flatnonzero(home % WORKERS == last)


def errors(
    code: coding.Code, decoder: str, blocks: np.ndarray, results: np.ndarray, lost: np.ndarray
) -> tuple[float, float]:
    """Relative error over the blocks whose own result is lost, and seconds to decode."""
    flat = blocks.reshape(code.k, -1)
    returned = {i: results[i] for i in range(code.n) if i not in set(lost.tolist())}
    start = time.perf_counter()
    decoded = coding.decode(code, returned, decoder, flat @ flat.T)
    seconds = time.perf_counter() - start
    missing = np.setdiff1d(np.arange(code.k), code.own_blocks[list(returned)])
    truth = np.empty_like(decoded.blocks)
    own = code.own_blocks
    truth[own[own >= 0]] = results[own >= 0]
    if not len(missing):
        return np.nan, seconds
    error = np.linalg.norm((decoded.blocks - truth)[missing]) / np.linalg.norm(truth[missing])
    return float(error), seconds


def geometric(values: list[float]) -> float:
    """Over the draws that have an answer; NaN if none has, for a whole group is lost in each."""
    logs = np.log([value for value in values if not np.isnan(value)])
    return float(np.exp(logs.mean())) if len(logs) else np.nan


def sizes(draws: int, patterns: Sequence[str], candidates: Sequence[int]) -> None:
    """Error, time to decode and blocks to a chunk, by the size of groups."""
    kinds = ("smooth", "common mean", "independent", "clustered")
    print(f"kriging, systematic code, k={K}, n={N}: relative error of lost blocks, geometric mean")
    print(f"over {', '.join(TRIED)}; {draws} draws")
    print("data         lost                groups        ", *(f"{s:>8d}" for s in candidates))
    taken: dict[int, list[float]] = {size: [] for size in candidates}
    for kind, pattern, layout in itertools.product(kinds, patterns, ("neighbours", "interleaved")):
        row = []
        for size in candidates:
            found = []
            for function, seed in itertools.product(TRIED, range(draws)):
                rng = np.random.default_rng([seed, len(function)])
                mapped = FUNCTIONS[function](rng, None)
                blocks = blocks_of(kind, K, rng)
                code: coding.Code = coding.Grouped(K, N, size=size, code=SYSTEMATIC)
                if layout == "interleaved":
                    code = interleaved(code)
                results = mapped(code.encode(blocks)).reshape(N, -1)
                error, seconds = errors(
                    code, "kriging", blocks, results, lost_chunks(code, pattern, rng)
                )
                found.append(error)
                taken[size].append(seconds)
            row.append(geometric(found))
        print(f"{kind:12s} {pattern:19s} {layout:13s} ", *(f"{e:8.4f}" for e in row), flush=True)
    median = [float(np.median(taken[size])) for size in candidates]
    print("seconds to decode                             ", *(f"{t:8.2f}" for t in median))
    print("blocks in a parity chunk                      ", *(f"{s:8d}" for s in candidates))


def orders(draws: int) -> None:
    """What the order of clustered blocks changes."""
    print("\nclustered blocks: error in their own order over that in order of similarity")
    print("k, n, lost    decoder              groups   " + "  ".join(f"{f:>12s}" for f in TRIED))
    for (k, n, lost), decoder, size in itertools.product(
        ((16, 24, 4), (32, 40, 4), (64, 80, 8)), ("berrut", "kriging"), (None, 16)
    ):
        if size is not None and size >= k:
            continue
        gains = []
        for function in TRIED:
            pairs = []
            for seed in range(draws):
                rng = np.random.default_rng([seed, k, len(function)])
                mapped = FUNCTIONS[function](rng, None)
                blocks = clustered(rng, k, (15, 20))
                plain: coding.Code = SYSTEMATIC(k, n)
                if size is not None:
                    plain = coding.Grouped(k, n, size=size, code=SYSTEMATIC)
                flat = blocks.reshape(k, -1)
                sorted_code = coding.Reordered(plain, coding.similarity_order(flat @ flat.T))
                # The same blocks are lost.
                gone = rng.permutation(k)[:lost]
                found = []
                for code in (plain, sorted_code):
                    results = mapped(code.encode(blocks)).reshape(n, -1)
                    chunks = np.flatnonzero(np.isin(code.own_blocks, gone))
                    found.append(errors(code, decoder, blocks, results, chunks)[0])
                pairs.append(found[0] / found[1])
            gains.append(geometric(pairs))
        shown = "  ".join(f"{gain:12.2f}" for gain in gains)
        print(f"{f'{k}, {n}, {lost}':13s} {decoder:20s} {size or '-'!s:8s} {shown}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=4)
    parser.add_argument("--only", choices=["sizes", "orders"])
    parser.add_argument("--lost", nargs="+", choices=PATTERNS, default=PATTERNS)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="of groups")
    options = parser.parse_args()
    if options.only != "orders":
        sizes(options.draws, options.lost, options.sizes)
    if options.only != "sizes":
        orders(options.draws)


if __name__ == "__main__":
    main()
