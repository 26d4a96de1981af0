"""Errors against their bars in runs over data and functions that were picked to be awkward.

Run with ``python -m benchmarks.trust``; takes about three minutes. Every draw is a run on workers
in this process: random sizes, data such as sparse or clustered blocks and steps, functions such as
maxima, sorts and singular values, and up to n - k chunks that fail. Draws above three bars are
listed.
"""

from __future__ import annotations

import argparse
import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from distributed import Client, LocalCluster, get_worker

import dask_bacc

Array = np.ndarray
SIZES = (4, 6, 8, 12, 16, 24, 40)
#: Errors below this are rounding, and need no bar.
EXACT = 1e-9
#: Most outputs of the functions that mix columns.
WIDTH = 30


def spread(rng: np.random.Generator, k: int, shape: tuple[int, int], kind: str) -> Array:
    """Blocks of a kind."""
    position = ((np.arange(k) + 0.5) / k)[:, None, None]
    noise = rng.normal(size=(k, *shape))
    one, other = rng.normal(size=(2, *shape))
    match kind:
        case "line":
            return np.arange(k * shape[0], dtype=float).reshape(k, -1, 1) + np.zeros(shape)
        case "wave":
            turns, phase = rng.uniform(0.2, 2), rng.uniform(0, 6)
            return one + other * np.sin(2 * np.pi * turns * position + phase)
        case "mean":
            return 3 * one + 0.3 * noise
        case "clusters":
            return rng.normal(size=(3, *shape))[rng.integers(3, size=k)] + 0.05 * noise
        case "sparse":
            return noise * (rng.random(noise.shape) < 0.05)
        case "walk":
            return noise.cumsum(axis=0) / np.sqrt(k)
        case "scales":
            return noise * np.exp(1.5 * rng.normal(size=(k, 1, 1)))
        case "step":
            return (position > rng.random()) * one + 0.02 * noise
        case _:
            return noise


DATA = ("random", "line", "wave", "mean", "clusters", "sparse", "walk", "scales", "step")


def mix(block: Array) -> Array:
    weights = np.random.default_rng(5).normal(size=(block.shape[1], WIDTH))
    return block @ weights / np.sqrt(block.shape[1])


FUNCTIONS: dict[str, Callable[[Array], Array]] = {
    "linear": lambda block: mix(block) + 1,
    "square": np.square,
    "tanh": lambda block: np.tanh(mix(block)),
    "tanh, float32": lambda block: np.tanh(mix(block)).astype(np.float32),
    "rectified": lambda block: np.maximum(mix(block), 0),
    "sine": lambda block: np.sin(3 * mix(block)),
    "complex": lambda block: np.exp(1j * block),
    "peak": lambda block: np.exp(-np.abs(block)),
    "mean": lambda block: block.mean(keepdims=True).ravel(),
    "norm": lambda block: np.linalg.norm(block)[None],
    "maximum": lambda block: block.max(axis=0),
    "sort": lambda block: np.sort(block, axis=0),
    "singular values": lambda block: np.linalg.svd(block, compute_uv=False),
    "sign": lambda block: (block > 0).astype(float),
}


def unless_lost(block: Array, function: str, lost: set[int]) -> Array:
    if get_worker().get_current_task()[1] in lost:
        raise RuntimeError("lost")
    return FUNCTIONS[function](block)


@dataclass(frozen=True)
class Draw:
    """One run, and how its error compares to its bar."""

    text: str
    #: whether more results returned than there are blocks
    more: bool
    error: float
    bar: float

    @property
    def ratio(self) -> float:
        """Error over bar."""
        return self.error / max(self.bar, 1e-12)


def drawn(seed: int, code: str, client: Client) -> Draw:
    """Make a run."""
    rng = np.random.default_rng(seed)
    k = int(rng.choice(SIZES))
    n = k + int(rng.integers(1, max(2, k // 2) + 1))
    kind, name = str(rng.choice(DATA)), str(rng.choice(list(FUNCTIONS)))
    shape = (int(rng.integers(1, 8)), int(rng.integers(1, 30)))
    blocks = spread(rng, k, shape, kind)
    coded = dask_bacc.encode(blocks.reshape(-1, shape[1]), k=k, n=n, code=code)
    chunks = coded.compute(scheduler="sync")
    count = int(rng.integers(1, n - k + 1))
    first = int(rng.integers(n - count + 1))
    lost = range(first, first + count) if rng.random() < 0.5 else rng.permutation(n)[:count]
    function = FUNCTIONS[name]
    run = coded.map(unless_lost, name, set(lost), rtol=0, combine="stack", client=client)
    answer = run.result(timeout=60)
    report = run.report
    results = [function(chunks[i]) for i in report.returned if i not in report.suspects]
    truth = np.stack([function(block) for block in blocks])
    size = np.sqrt(np.mean(np.abs(results) ** 2))
    error = float(np.sqrt(np.mean(np.abs(answer - truth) ** 2)) / (size or 1.0))
    outputs = results[0].size
    text = f"seed {seed}: k={k} n={n} {len(results)} results, {kind}, {name}, {outputs} outputs"
    assert report.error is not None
    return Draw(text, len(results) > k, error if error > EXACT else 0.0, report.error)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--code", default="systematic")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)  # of chunks that fail on purpose
    warnings.simplefilter("ignore", RuntimeWarning)  # of estimates above rtol
    with (
        LocalCluster(
            n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None
        ) as cluster,
        Client(cluster) as client,
    ):
        draws = [drawn(seed, options.code, client) for seed in range(options.draws)]
    for draw in draws:
        if draw.ratio > 3:
            print(f"{draw.text}: error {draw.error:.2g}, bar {draw.bar:.2g}")
    print(f"\ncode {options.code}: draws, median of error over bar, share above 2 bars, above 3")
    for title, more in (("as many results as blocks", False), ("more results than blocks", True)):
        ratios = np.array([draw.ratio for draw in draws if draw.more == more and draw.error > 0])
        print(
            f"  {title:28}{len(ratios):6}{np.median(ratios):8.2f}{np.mean(ratios > 2):9.2%}"
            f"{np.mean(ratios > 3):9.2%}"
        )


if __name__ == "__main__":
    main()
