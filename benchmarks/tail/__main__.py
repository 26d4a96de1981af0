"""Time to the answer with slow and hung workers: coded runs, copies, and what other engines do.

Run with ``python -m benchmarks.tail``; takes half an hour and writes ``docs/images/tail.png``.
Every round draws the seconds of all tasks once, and all systems get the same ones. A sleep stands
in for compute time; hung workers are processes that are really stopped. Simulated figures come
from the same draws and policies, without a cluster.
"""

from __future__ import annotations

import argparse
import functools
import math
import time
import warnings
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import dask.array as da
import matplotlib as mpl
import matplotlib.ticker
import numpy as np
from distributed import wait

import dask_bacc
from benchmarks import figures
from benchmarks.tail.defaults import defaults
from benchmarks.tail.exact import LAWS as EXACT_LAWS
from benchmarks.tail.exact import exact
from benchmarks.tail.model import Overhead, large_jobs, simulated
from benchmarks.tail.peers import CUBED
from benchmarks.tail.systems import (
    FEWER,
    FIRST,
    GIVE_UP,
    LAWS,
    RTOL,
    SYSTEMS,
    Law,
    Round,
    Size,
    attempt,
    blocks_of,
    close,
    cluster_of,
    rounds_of,
    settle,
    stopped,
    systems_of,
    work,
)
from benchmarks.tail.throttled import throttled

mpl.use("agg")
from matplotlib import pyplot as plt

#: a worker to a chunk, and four chunks to a worker
SMALL, LARGE = Size(8, 12, workers=12, threads=1), Size(32, 40, workers=10, threads=4)
#: a worker to a chunk, of many
MANY = Size(32, 40, workers=40, threads=1)


def measure(law: Law, size: Size, rounds: int, names: Iterable[str] = tuple(SYSTEMS)) -> dict:
    """Seconds of every system in every round, and how far off its answer was."""
    kept = ("seconds", "errors", "bars", "spent", "wasted")
    results: dict = {what: defaultdict(list) for what in kept}
    names = [s for s in names if not (law.hung and s == "plain blocks")]
    for drawn in rounds_of(law, size, rounds):
        for name in names:
            seconds, systems = _run(name, drawn, size), systems_of(size)
            results["seconds"][name].append(seconds)
            results["errors"][name].append(systems.error)
            results["bars"][name].append(systems.estimate)
            results["spent"][name].append(systems.spent)
            results["wasted"][name].append(systems.wasted)
    return results


def _run(name: str, drawn: Round, size: Size) -> float:
    """Seconds of one system in one round."""
    systems, (client, pids) = systems_of(size), cluster_of(size)
    with stopped([pids[worker] for worker in drawn.hung]):
        seconds = systems.run(name, drawn.times, drawn.copies)
    settle(client)
    return seconds


@functools.cache
def overheads(size: Size, rounds: int) -> dict[str, Overhead]:
    """What each system takes beyond its simulation, in rounds of their own."""
    calm = np.full(size.n, 0.1)
    late = calm.copy()
    late[size.k // 2] = 1.0
    return {
        name: Overhead(*(_beyond(name, Round(t, calm), size, rounds) for t in (calm, late)))
        for name in SYSTEMS
    }


def _beyond(name: str, drawn: Round, size: Size, rounds: int) -> float:
    seconds = [_run(name, drawn, size) for _ in range(rounds)]
    return float(np.median(seconds)) - simulated(name, size, [drawn])[0]


def compare(law: Law, size: Size, rounds: int) -> dict[str, list[float]]:
    """Seconds of all systems in all rounds, printed beside those of the simulator."""
    repeats = min(rounds, 7)
    # Rounds that never end take long.
    rounds = max(rounds // 3, 1) if law.hung else rounds
    results = measure(law, size, rounds)
    taken = overheads(size, repeats)
    # A real task ends when everybody has given up.
    drawn = [d._replace(times=np.minimum(d.times, GIVE_UP)) for d in rounds_of(law, size, rounds)]
    model = {name: simulated(name, size, drawn, taken[name]) for name in results["seconds"]}
    table(f"{law.name}, k={size.k}, n={size.n}, {rounds} rounds, seconds", results, model)
    return results["seconds"]


def table(title: str, results: dict, simulated_seconds: dict[str, list[float]]) -> None:
    print(f"\n{title}")
    print(
        f"{'':36}{'p50':>8}{'p99':>8}{'sim p50':>9}{'sim p99':>9}{'worker-s':>10}"
        f"{'wasted':>8}{'error':>9}{'over bar':>9}"
    )
    for system, seconds in results["seconds"].items():
        p50, p99 = np.quantile(seconds, [0.5, 0.99], method="lower")
        s50, s99 = np.quantile(simulated_seconds[system], [0.5, 0.99], method="lower")
        errors = np.array(results["errors"][system])
        bars = np.array(results["bars"][system])
        worst = np.nanmax(errors) if np.isfinite(errors).any() else math.nan
        with np.errstate(invalid="ignore", divide="ignore"):
            over = np.nanmax(np.append(np.where(bars > 0, errors / bars, 0), 0))
        print(
            f"{system:36}{p50:8.2f}{p99:8.2f}{s50:9.2f}{s99:9.2f}"
            f"{np.nanmean(results['spent'][system]):10.2f}"
            f"{np.nanmean(results['wasted'][system]):8.2f}{worst:9.1e}{over:9.2f}"
        )


def nothing_wrong(pairs: int) -> None:
    """``launch="backup"`` against plain ``map_blocks``, equal times, in turn."""
    client, _ = cluster_of(SMALL)
    # One block to a worker: two would run one after the other under ``map_blocks``.
    homes = list(client.scheduler_info(n_workers=-1)["workers"])
    placed = [
        client.scatter(block, workers=home)
        for block, home in zip(blocks_of(SMALL.k), homes, strict=False)
    ]
    array = da.concatenate([da.from_delayed(f, (10, 20), dtype=float) for f in placed])
    coded = dask_bacc.encode(array, n=SMALL.n)
    ratios, spent = [], []
    for turn in range(pairs + 1):
        begin = time.perf_counter()
        # Without meta it would call the function once, here.
        array.map_blocks(attempt, 0.5, chunks=(10, 200), meta=np.empty((0, 0))).compute()
        middle = time.perf_counter()
        run = coded.map(attempt, 0.5, launch="backup")
        run.result()
        end = time.perf_counter()
        if turn:
            ratios.append((end - middle) / (middle - begin))
            spent.append(sum(c.started is not None for c in run.report.chunks) / SMALL.k)
    print(
        f"\nnothing wrong, k=8, 0.5 s a block: backup over map_blocks {np.median(ratios):.3f} "
        f"in time (median of {pairs} pairs), {np.mean(spent):.3f} in tasks"
    )


def best(law: Law, rounds: int) -> None:
    """Many rounds of eager runs and of the exact systems that are best in median and tail."""
    results = measure(law, SMALL, rounds, (CUBED.name, "repetition", FIRST, "eager", FEWER))
    seconds = results["seconds"]
    found = {name: np.quantile(seconds[name], [0.5, 0.99], method="lower") for name in seconds}
    peers = np.minimum(found[CUBED.name], found["repetition"])
    print(f"\n{law.name}, k=8, n=12, {rounds} rounds: p50, p99, both over the best exact peer's")
    for name, values in found.items():
        print(f"{name:36}" + "".join(f"{value:8.2f}" for value in (*values, *(values / peers))))
    for name in ("eager", FEWER):
        errors, bars = np.array(results["errors"][name]), np.array(results["bars"][name])
        print(
            f"{name}: estimated error at most {bars.max():.1e}, true error at most "
            f"{errors.max():.1e}, {np.max(errors[bars > 0] / bars[bars > 0], initial=0):.2f} bars"
        )


def longer(rounds: int) -> None:
    """Pareto 1.5 again, from half a second on: what the runtime itself takes counts for less."""
    best(Law("Pareto 1.5 from 0.5 s on", lambda rng, n: 0.5 * (1 + rng.pareto(1.5, n))), rounds)


def rounds_with_a_hung_worker(rounds: int) -> None:
    """One of eight workers hung, ten rounds in a row on a persisted array."""
    print(f"\none of 8 workers hung, {rounds} rounds of 0.3 s a chunk, times a healthy round")
    for k, n, enough in ((6, 8, 6), (8, 12, 8), (8, 12, 7), (28, 40, 28)):
        size = Size(k, n, workers=8, threads=1)
        _, pids = cluster_of(size)
        coded = systems_of(size).coded["systematic"].persist()
        wait(coded)
        times = np.full(n, 0.3)
        _rounds(1, coded, times, enough)
        healthy = np.median(_rounds(rounds, coded, times, enough))
        with stopped(pids[:1]):
            ratios = np.array(_rounds(rounds, coded, times, enough)) / healthy
        turns = -(-enough // 7) / -(-enough // 8)
        print(
            f"  k={k}, n={n}, enough={enough}: {np.max(ratios):.2f} at most, "
            f"{np.median(ratios):.2f} in the median; turns allow {turns:.2f} "
            f"({healthy:.2f} s healthy)"
        )
        close()  # the stopped worker is missed for a while


def _rounds(
    rounds: int, coded: dask_bacc.CodedArray, times: np.ndarray, enough: int
) -> list[float]:
    seconds = []
    for _ in range(rounds):
        begin = time.perf_counter()
        coded.map(work, times, enough=enough, rtol=RTOL).result()
        seconds.append(time.perf_counter() - begin)
    return seconds


def figure(rounds: int, path: Path) -> None:
    """All laws with a worker for each chunk, as a table and a picture."""
    picture, axes = plt.subplots(1, len(LAWS), figsize=(12, 3.6), layout="constrained")
    for ax, law in zip(axes, LAWS, strict=True):
        _draw(ax, law, compare(law, SMALL, rounds))
    axes[0].set_ylabel("share of rounds still without answer")
    handles, labels = axes[0].get_legend_handles_labels()
    axes[-1].legend(
        handles, labels, frameon=False, fontsize=7, loc="upper left", bbox_to_anchor=(1, 1)
    )
    figures.save(picture, path)


def threads(rounds: int) -> None:
    """All laws with more chunks than workers."""
    for law in LAWS:
        compare(law, LARGE, rounds)


def main() -> None:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.tail", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--rounds", type=int, default=50, help="some parts take fewer")
    parts = {
        "nothing-wrong": lambda: nothing_wrong(min(options.rounds, 15)),
        "best": lambda: best(LAWS[0], 4 * options.rounds),
        "exact": lambda: exact(options.rounds, (SMALL,)),
        "exact-large": lambda: exact(options.rounds, (MANY,)),
        "defaults": lambda: [defaults(law, SMALL, options.rounds) for law in EXACT_LAWS[:2]],
        "throttled": lambda: throttled(min(options.rounds, 10)),
        "longer": lambda: longer(max(options.rounds // 2, 1)),
        "rounds": lambda: rounds_with_a_hung_worker(min(options.rounds, 10)),
        "figure": lambda: figure(options.rounds, options.figure),
        "threads": lambda: threads(max(options.rounds // 3, 1)),
        "large": large_jobs,
    }
    parser.add_argument("--only", nargs="+", choices=parts, default=list(parts))
    figures.add_option(parser, "tail.png")
    options = parser.parse_args()
    warnings.simplefilter("ignore", RuntimeWarning)
    try:
        for part in options.only:
            parts[part]()
    finally:
        close()


def _draw(ax, law: Law, seconds: dict[str, list[float]]) -> None:
    colours = dict(zip(SYSTEMS, mpl.color_sequences["tab10"], strict=False))
    for system, values in seconds.items():
        ordered = np.sort(np.minimum(values, GIVE_UP))
        left = 1 - np.arange(len(ordered)) / len(ordered)
        ax.step(ordered, left, where="post", label=system, color=colours[system])
    ax.set_xscale("log")
    ax.set_xticks([0.1, 0.2, 0.5, 1, 2, 5], ["0.1", "0.2", "0.5", "1", "2", "5"])
    ax.xaxis.set_minor_locator(mpl.ticker.NullLocator())
    ax.set_xlim(0.1, 1.2 * GIVE_UP)
    ax.set_title(f"{law.name}, k={SMALL.k}, n={SMALL.n}", fontsize=10)
    ax.set_xlabel("seconds")
    ax.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    main()
