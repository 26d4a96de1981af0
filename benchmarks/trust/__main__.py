"""Errors against their bars in runs over data and functions that were picked to be awkward.

Run with ``python -m benchmarks.trust``; 2,000 draws take about ten minutes. Every draw is a run
on workers in this process: random sizes, one of 24 kinds of data and of 64 functions, and up to
``n - k`` chunks that fail. Draws above three bars are listed. With ``--complete`` nothing is lost
and all options are the defaults: every answer must be exact. With ``--ends`` blocks lie on a line
or a ramp, and those at its ends are lost.
"""

from __future__ import annotations

import argparse
import logging
import warnings
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from distributed import Client, LocalCluster, get_worker

import dask_bacc
from benchmarks.processes.cluster import LONG
from benchmarks.trust.awkward import DATA, FUNCTIONS, Array

SIZES = (4, 6, 8, 12, 16, 24, 40)
#: Errors below this are rounding, and need no bar; errors above that matter to anybody.
EXACT, MATTERS = 1e-9, 0.02
#: Blocks and chunks where the ends of a line are lost.
ENDS = (16, 20)


def mapped(block: Array, function: str, lost: set[int]) -> Array:
    """The function's value, unless this chunk is to be lost."""
    if lost and get_worker().get_current_task()[1] in lost:
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
    #: whether a block's own result was replaced, or doubted
    replaced: bool

    @property
    def ratio(self) -> float:
        """Error over bar."""
        return self.error / max(self.bar, 1e-12) if self.error > EXACT else 0.0


def drawn(seed: int, code: str, client: Client, *, complete: bool = False) -> Draw:
    """A run over awkward data."""
    rng = np.random.default_rng(seed)
    k = int(rng.choice(SIZES))
    n = k + int(rng.integers(1, max(2, k // 2) + 1))
    kind, name = str(rng.choice(list(DATA))), str(rng.choice(list(FUNCTIONS)))
    shape = (int(rng.integers(1, 8)), int(rng.integers(1, 30)))
    blocks = DATA[kind](rng, k, shape)
    count = int(rng.integers(1, n - k + 1))
    first = int(rng.integers(n - count + 1))
    lost = range(first, first + count) if rng.random() < 0.5 else rng.permutation(n)[:count]
    text = f"seed {seed}: k={k} n={n} lost {count}, {kind}, {name}, {shape[0]} x {shape[1]}"
    return _run(text, blocks, name, n, () if complete else lost, code, client)


def drawn_ends(seed: int, code: str, client: Client) -> Draw:
    """A run over blocks on a line or a ramp, the ends of which are lost."""
    rng = np.random.default_rng(seed)
    k, n = ENDS
    kind, name = str(rng.choice(["line", "ramp"])), str(rng.choice(["tanh", "logistic"]))
    shape = (int(rng.integers(1, 8)), int(rng.integers(1, 30)))
    blocks = DATA[kind](rng, k, shape)
    if kind == "line":
        blocks = blocks / blocks.max() * rng.choice([0.3, 1.0, 3.0])
    text = f"seed {seed}: {kind}, {name}, {shape[0]} x {shape[1]}"
    return _run(text, blocks, name, n, (0, k - 1), code, client)


def _run(
    text: str,
    blocks: Array,
    name: str,
    n: int,
    lost: Iterable[int],
    code: str,
    client: Client,
) -> Draw:
    k, gone = len(blocks), {int(chunk) for chunk in lost}
    coded = dask_bacc.encode(blocks.reshape(-1, blocks.shape[2]), k=k, n=n, code=code)
    options = {"rtol": 0} if gone else {}
    run = coded.map(mapped, name, gone, combine="stack", client=client, **options)
    answer, report = run.result(timeout=LONG), run.report
    truth = np.stack([FUNCTIONS[name](block) for block in blocks])
    chunks = coded.compute(scheduler="sync")
    results = [FUNCTIONS[name](chunks[i]) for i in report.returned]
    # In the unit of the report; where all results are zero, in that of the truth.
    size = np.sqrt(np.mean(np.abs(results) ** 2)) or np.sqrt(np.mean(np.abs(truth) ** 2)) or 1.0
    error = float(np.sqrt(np.mean(np.abs(answer - truth) ** 2)) / size)
    assert report.error is not None
    own = [i for i in report.returned if i < k]
    replaced = bool(report.suspects) or not np.array_equal(answer[own], truth[own])
    text += f", {truth[0].size} outputs, {report.kernel}"
    return Draw(text, len(results) > k, error, report.error, replaced)


def _shares(title: str, draws: list[Draw]) -> None:
    ratios = np.array([draw.ratio for draw in draws])
    errors = np.array([draw.error for draw in draws])
    wrong = ratios[ratios > 0]
    print(
        f"  {title:28}{len(draws):6}{len(wrong):7}{np.median(wrong) if len(wrong) else 0:8.2f}"
        f"{np.mean(ratios > 2):9.2%}{np.mean(ratios > 3):9.2%}"
        f"{np.mean((ratios > 3) & (errors > MATTERS)):9.2%}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.trust", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--first", type=int, default=0, help="seed of the first draw")
    parser.add_argument("--code", default="systematic")
    parser.add_argument("--complete", action="store_true", help="nothing lost, default options")
    parser.add_argument("--ends", action="store_true", help="the ends of a line lost")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)  # of chunks that fail on purpose
    warnings.simplefilter("ignore", RuntimeWarning)  # of estimates above rtol
    seeds = range(options.first, options.first + options.draws)
    with (
        LocalCluster(
            n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None
        ) as cluster,
        Client(cluster) as client,
    ):
        if options.ends:
            draws = [drawn_ends(seed, options.code, client) for seed in seeds]
        else:
            draws = [
                drawn(seed, options.code, client, complete=options.complete) for seed in seeds
            ]
    for draw in draws:
        if draw.ratio > 3 or (options.complete and (draw.error > 0 or draw.replaced)):
            print(f"{draw.text}: error {draw.error:.2g}, bar {draw.bar:.2g}")
    if options.complete:
        inexact = sum(draw.error > 0 for draw in draws)
        doubted = sum(draw.replaced for draw in draws)
        print(f"\nnothing lost, {len(draws)} runs: {inexact} not exact, {doubted} with suspects")
        return
    print(
        f"\ncode {options.code}: draws, with an error, median of error over bar, "
        f"share above 2 bars, above 3, above 3 with an error above {MATTERS:.0%}"
    )
    for title, more in (("as many results as blocks", False), ("more results than blocks", True)):
        _shares(title, [draw for draw in draws if draw.more == more])
    _shares("all", draws)


if __name__ == "__main__":
    main()
