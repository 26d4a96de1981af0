"""Time to the answer with slow and hung workers: coded runs, copies, and what other engines do.

Run with ``python -m benchmarks.tail``; takes about 20 minutes and writes ``docs/images/tail.png``.
Every round draws the seconds of all tasks once, and all systems get the same ones. A sleep stands
in for compute time; hung workers are processes that are really stopped. Simulated figures come
from the same draws and policies, without a cluster.
"""

from __future__ import annotations

import argparse
import math
import os
import signal
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dask.array as da
import matplotlib as mpl
import matplotlib.ticker
import numpy as np
from distributed import Client, LocalCluster, get_worker, wait

import dask_bacc
from benchmarks.peers import CUBED, SPARK, Duplicates, run_duplicates, simulate_duplicates
from dask_bacc import coding
from dask_bacc.cluster.simulator import simulate
from dask_bacc.cluster.stragglers import Patience

mpl.use("agg")
from matplotlib import pyplot as plt

FIGURE = Path(__file__).parents[1] / "docs" / "images" / "tail.png"
#: Seconds after which a round counts as never answered.
GIVE_UP = 8.0
RTOL = 1e-2
Draw = Callable[[np.random.Generator, int], np.ndarray]
TIMES: dict[str, Draw] = {
    "Pareto 1.5": lambda rng, n: 0.1 * (1 + rng.pareto(1.5, n)),
    "shifted exponential": lambda rng, n: 0.1 + rng.exponential(0.1, n),
    "10% hung": lambda rng, n: 0.1 + rng.exponential(0.01, n),
}
WEIGHTS = np.random.default_rng(0).normal(size=(20, 200)) / 10


def function(block: np.ndarray) -> np.ndarray:
    return np.tanh(block @ WEIGHTS)


def work(block: np.ndarray, times: np.ndarray) -> np.ndarray:
    """The function, after the seconds of this chunk."""
    return attempt(block, times[get_worker().get_current_task()[1]])


def attempt(block: np.ndarray, seconds: float) -> np.ndarray:
    """The function, after some seconds, unless it is cancelled: rounds are not to mix."""
    end = time.perf_counter() + min(seconds, GIVE_UP)
    while (left := end - time.perf_counter()) > 0 and not dask_bacc.should_stop():
        time.sleep(min(left, 0.1))
    return function(block)


def blocks_of(k: int) -> np.ndarray:
    """Blocks that vary smoothly."""
    position = (np.arange(k) + 0.5) / k
    first, second = np.random.default_rng(1).normal(size=(2, 10, 20))
    return first + np.cos(np.pi * position)[:, None, None] * second


class Systems:
    """The systems that are compared, over the same blocks held by the workers."""

    def __init__(self, client: Client, k: int, n: int) -> None:
        self.client, self.k, self.n = client, k, n
        blocks = blocks_of(k)
        self.truth = function(blocks).reshape(-1, 200)
        self.futures = client.scatter(list(blocks), broadcast=True, hash=False)
        self.coded = {
            name: dask_bacc.encode(blocks.reshape(-1, 20), k=k, n=n, code=name)
            for name in ("systematic", "berrut", "repetition")
        }
        self.plain = dask_bacc.encode(blocks.reshape(-1, 20), k=k, n=k, code="uncoded")
        self.error = math.nan
        self.estimate = math.nan
        self.spent = math.nan

    def run(self, name: str, times: np.ndarray, copies: np.ndarray) -> float:
        """Seconds to the answer; the error, its estimate and worker-seconds are kept."""
        self.error = self.estimate = self.spent = math.nan
        if isinstance(policy := SYSTEMS[name], Duplicates):
            return self._duplicates(policy, times, copies)
        code, options = policy
        coded = self.plain if code == "uncoded" else self.coded[code]
        begin = time.perf_counter()
        run = coded.map(work, times, **options)
        try:
            answer = run.result(timeout=GIVE_UP)
        except (TimeoutError, dask_bacc.DecodeError):
            run.cancel()
            return math.inf
        seconds = time.perf_counter() - begin
        report = run.report
        self.error = float(np.linalg.norm(answer - self.truth) / np.linalg.norm(self.truth))
        self.estimate = math.nan if report.error is None else report.error
        self.spent = sum(
            (seconds if chunk.state != "returned" else chunk.ended) - chunk.started
            for chunk in report.chunks
            if chunk.started is not None
        )
        return seconds

    def _duplicates(self, policy: Duplicates, times: np.ndarray, copies: np.ndarray) -> float:
        def submit(block: int, number: int):
            seconds = float((times, copies)[number][block])
            return self.client.submit(attempt, self.futures[block], seconds, pure=False)

        seconds, futures = run_duplicates(self.client, policy, submit, self.k, GIVE_UP)
        self.client.cancel(futures)
        self.error = 0.0
        self.spent = sum(min(t, seconds) for t in times[: self.k])
        return seconds


SYSTEMS: dict[str, Duplicates | tuple[str, dict]] = {
    "plain blocks": ("uncoded", {}),
    CUBED.name: CUBED,
    SPARK.name: SPARK,
    "repetition": ("repetition", {}),
    "published BACC": ("berrut", {"decoder": "berrut"}),
    "eager": ("systematic", {"rtol": RTOL}),
    "backup": ("systematic", {"rtol": RTOL, "launch": "backup"}),
}


def simulated(name: str, k: int, n: int, draws: Iterator[tuple], overhead: float) -> list[float]:
    """Seconds to the answer of every draw, without a cluster."""
    patience = Patience.configured()
    codes = {
        "plain blocks": (coding.Uncoded(k, k), k),
        "repetition": (coding.Repetition(k, n), n),
        "published BACC": (coding.Berrut(k, n), k),
        "eager": (coding.Berrut(k, n, systematic=True), k),
        "backup": (coding.Berrut(k, n, systematic=True), k),
    }
    seconds = []
    for times, copies in draws:
        if isinstance(policy := SYSTEMS[name], Duplicates):
            seconds.append(simulate_duplicates(policy, times[:k], copies[:k])[0] + overhead)
            continue
        code, enough = codes[name]
        run = simulate(
            code,
            coding.get_decoder(None, code),
            lambda chunk, _, t=times: float(t[chunk]),
            workers=n,
            enough=enough,
            patience=patience if name == "backup" else None,
            overhead=overhead,
        )
        seconds.append(run.seconds)
    return seconds


def draws_of(draw: Draw, n: int, rounds: int, hung: float) -> Iterator[tuple]:
    """Seconds of first and second attempts."""
    rng = np.random.default_rng(7)
    for _ in range(rounds):
        times, copies = draw(rng, n), draw(rng, n)
        if hung:
            times = np.where(rng.random(n) < hung, np.inf, times)
        yield times, copies


@contextmanager
def stopped(pids: list[int]) -> Iterator[None]:
    """Processes that hang meanwhile."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def measure(
    name: str, draw: Draw, k: int, n: int, rounds: int, workers: int, threads: int
) -> dict:
    """Seconds of every system in every round."""
    seconds: defaultdict[str, list[float]] = defaultdict(list)
    errors: defaultdict[str, list[float]] = defaultdict(list)
    bars: defaultdict[str, list[float]] = defaultdict(list)
    spent: defaultdict[str, list[float]] = defaultdict(list)
    hangs = name == "10% hung"
    rng = np.random.default_rng(8)
    systems_tried = [s for s in SYSTEMS if not (hangs and s == "plain blocks")]
    for times, copies in draws_of(draw, n, rounds, 0.0):
        for system in systems_tried:
            with _cluster(workers, threads) as (client, pids):
                systems = _systems(client, k, n)
                victims = rng.permutation(pids)[: max(1, round(0.1 * workers))] if hangs else []
                with stopped([int(pid) for pid in victims]):
                    seconds[system].append(systems.run(system, times, copies))
                errors[system].append(systems.error)
                bars[system].append(systems.estimate)
                spent[system].append(systems.spent)
                _settle(client)
    return {"seconds": seconds, "errors": errors, "bars": bars, "spent": spent}


_open: dict = {}


@contextmanager
def _cluster(workers: int, threads: int) -> Iterator[tuple[Client, list[int]]]:
    """One cluster for all rounds of a size."""
    if _open.get("size") != (workers, threads):
        _close()
        cluster = LocalCluster(
            n_workers=workers, threads_per_worker=threads, dashboard_address="127.0.0.1:0"
        )
        client = Client(cluster)
        _open.update(size=(workers, threads), cluster=cluster, client=client)
        _open["pids"] = list(client.run(os.getpid).values())
    yield _open["client"], _open["pids"]


def _systems(client: Client, k: int, n: int) -> Systems:
    if _open.get("systems_of") != (k, n):
        _open.update(systems_of=(k, n), systems=Systems(client, k, n))
    return _open["systems"]


def _close() -> None:
    if "client" in _open:
        _open["client"].close()
        _open["cluster"].close()
    _open.clear()


def _settle(client: Client) -> None:
    """Wait until no thread is taken by what was cancelled, so that rounds do not mix."""
    while any(client.run(lambda dask_worker: dask_worker.state.executing_count).values()):
        time.sleep(0.05)


def table(title: str, results: dict, simulated_seconds: dict[str, list[float]]) -> None:
    print(f"\n{title}")
    print(
        f"{'':36}{'p50':>8}{'p99':>8}{'sim p50':>9}{'sim p99':>9}{'worker-s':>10}"
        f"{'error':>9}{'over bar':>9}"
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
            f"{np.nanmedian(results['spent'][system]):10.2f}{worst:9.1e}{over:9.2f}"
        )


def nothing_wrong(pairs: int) -> None:
    """``launch="backup"`` against plain ``map_blocks``, equal times, in turn."""
    k, n = 8, 12
    with _cluster(12, 1) as (client, _):
        # One block to a worker: two would run one after the other under ``map_blocks``.
        homes = list(client.scheduler_info(n_workers=-1)["workers"])
        placed = [
            client.scatter(block, workers=home)
            for block, home in zip(blocks_of(k), homes, strict=False)
        ]
        array = da.concatenate([da.from_delayed(f, (10, 20), dtype=float) for f in placed])
        coded = dask_bacc.encode(array, n=n)
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
                started = sum(c.started is not None for c in run.report.chunks)
                spent.append(started / k)
        print(
            f"\nnothing wrong, k=8, 0.5 s a block: backup over map_blocks {np.median(ratios):.3f} "
            f"in time (median of {pairs} pairs), {np.mean(spent):.3f} in tasks"
        )


def longer(rounds: int) -> None:
    """Pareto 1.5 again, from half a second on: what the runtime itself takes counts for less."""
    name = "Pareto 1.5 from 0.5 s on"
    results = measure(name, lambda rng, n: 0.5 * (1 + rng.pareto(1.5, n)), 8, 12, rounds, 12, 1)
    seconds = results["seconds"]
    p50 = {system: float(np.median(seconds[system])) for system in seconds}
    best = min(p50[system] for system in ("plain blocks", CUBED.name, SPARK.name, "repetition"))
    print(f"\n{name}, k=8, n=12, {rounds} rounds: p50 in seconds, and over the best exact peer's")
    for system, value in p50.items():
        print(f"{system:36}{value:8.2f}{value / best:8.2f}")


def rounds_with_a_hung_worker(rounds: int) -> None:
    """One of eight workers hung, ten rounds in a row on a persisted array."""
    print(f"\none of 8 workers hung, {rounds} rounds of 0.3 s a chunk, times a healthy round")
    for k, n in ((6, 8), (8, 12), (28, 40)):
        with _cluster(8, 1) as (client, pids):
            coded = _systems(client, k, n).coded["systematic"].persist()
            wait(coded)
            times = np.full(n, 0.3)
            _rounds(1, coded, times)
            healthy = np.median(_rounds(rounds, coded, times))
            with stopped(pids[:1]):
                ratios = np.array(_rounds(rounds, coded, times)) / healthy
            print(
                f"  k={k}, n={n}: {np.max(ratios):.2f} at most, {np.median(ratios):.2f} in the "
                f"median; at best {-(-k // 7) / -(-k // 8):.2f} ({healthy:.2f} s healthy)"
            )
        _close()  # the stopped worker is missed for a while


def _rounds(rounds: int, coded: dask_bacc.CodedArray, times: np.ndarray) -> list[float]:
    seconds = []
    for _ in range(rounds):
        begin = time.perf_counter()
        coded.map(work, times, rtol=RTOL).result()
        seconds.append(time.perf_counter() - begin)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--only", choices=["figure", "nothing-wrong", "longer", "rounds", "large"])
    options = parser.parse_args()
    warnings.simplefilter("ignore", RuntimeWarning)
    parts = {
        "nothing-wrong": lambda: nothing_wrong(15),
        "longer": lambda: longer(max(options.rounds // 2, 2)),
        "rounds": lambda: rounds_with_a_hung_worker(10),
        "large": large_jobs,
    }
    if options.only in parts:
        try:
            parts[options.only]()
        finally:
            _close()
        return
    figure, axes = plt.subplots(1, len(TIMES), figsize=(12, 3.6), layout="constrained")
    try:
        if not options.only:
            nothing_wrong(15)
            longer(max(options.rounds // 2, 2))
            rounds_with_a_hung_worker(10)
        sizes = ((8, 12, 12, 1, 1), (32, 40, 10, 4, 3))
        for k, n, workers, threads, share in sizes[: 1 if options.only else 2]:
            for ax, (name, draw) in zip(axes, TIMES.items(), strict=True):
                # Rounds that never end take long.
                rounds = max(options.rounds // share // (3 if name == "10% hung" else 1), 2)
                results = measure(name, draw, k, n, rounds, workers, threads)
                hung = 0.1 if name == "10% hung" else 0.0
                overhead = float(np.median(results["seconds"]["eager"])) - float(
                    np.median(simulated("eager", k, n, draws_of(draw, n, rounds, hung), 0.0))
                )
                model = {
                    system: simulated(system, k, n, draws_of(draw, n, rounds, hung), overhead)
                    for system in results["seconds"]
                }
                table(f"{name}, k={k}, n={n}, {rounds} rounds, seconds", results, model)
                if k == 8:
                    _draw(ax, name, results["seconds"])
    finally:
        _close()
    axes[0].set_ylabel("share of rounds still without answer")
    handles, labels = axes[0].get_legend_handles_labels()
    axes[-1].legend(
        handles, labels, frameon=False, fontsize=7, loc="upper left", bbox_to_anchor=(1, 1)
    )
    figure.savefig(FIGURE, dpi=110)
    print(f"\nfigure: {FIGURE.relative_to(Path(__file__).parents[1])}")
    if not options.only:
        large_jobs()


def large_jobs() -> None:
    """Groups of (32, 40), as many as fill the workers; a job ends with its last group."""
    print(
        "\nsimulated, groups of k=32, n=40, Pareto 1.5, a job ends with its last group: p50, p99"
    )
    systems = ("plain blocks", CUBED.name, SPARK.name, "eager", "backup")
    print(f"{'workers':>8}" + "".join(f"{system:>36}" for system in systems))
    for workers in (40, 400, 4000, 10_000):
        groups = workers // 40
        line = []
        for system in systems:
            per_group = simulated(
                system, 32, 40, draws_of(TIMES["Pareto 1.5"], 40, 30 * groups, 0.0), 0.0
            )
            jobs = np.array(per_group).reshape(30, groups).max(axis=1)
            line.append("{:.2f}, {:.2f}".format(*np.quantile(jobs, [0.5, 0.99])))
        print(f"{workers:8}" + "".join(f"{cell:>36}" for cell in line))


def _draw(ax, name: str, seconds: dict[str, list[float]]) -> None:
    colours = dict(zip(SYSTEMS, mpl.color_sequences["tab10"], strict=False))
    for system, values in seconds.items():
        ordered = np.sort(np.minimum(values, GIVE_UP))
        left = 1 - np.arange(len(ordered)) / len(ordered)
        ax.step(ordered, left, where="post", label=system, color=colours[system])
    ax.set_xscale("log")
    ax.set_xticks([0.1, 0.2, 0.5, 1, 2, 5], ["0.1", "0.2", "0.5", "1", "2", "5"])
    ax.xaxis.set_minor_locator(mpl.ticker.NullLocator())
    ax.set_xlim(0.1, 1.2 * GIVE_UP)
    ax.set_title(f"{name}, k=8, n=12", fontsize=10)
    ax.set_xlabel("seconds")
    ax.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    main()
