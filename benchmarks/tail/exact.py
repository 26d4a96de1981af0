"""Exact answers of a rough function: blocks that are run once more, against what others do."""

from __future__ import annotations

import time
import warnings
from collections import defaultdict

import dask
import numpy as np
from distributed import get_worker

import dask_bacc
from benchmarks.tail.peers import CUBED, SPARK, measure_duplicates
from benchmarks.tail.systems import (
    GIVE_UP,
    Law,
    Size,
    blocks_of,
    cluster_of,
    pause,
    rounds_of,
    settle,
    stopped,
)

#: Ours, by the multiple of the usual time that an attempt has, and attempts a block at most.
GATES = {
    "copies, gate 1.5": (1.5, 2.0),
    "copies, gate 1.2 (default)": (1.2, 2.0),
    "copies, gate 0.5": (0.5, 3.0),
    "copies, gate 0": (0.0, 4.0),
}
LAWS = (
    Law("Pareto 1.5 from 0.5 s on", lambda rng, n: 0.5 * (1 + rng.pareto(1.5, n))),
    Law("shifted exponential from 0.5 s on", lambda rng, n: 0.5 + rng.exponential(0.5, n)),
    Law("one hung", lambda rng, n: 0.5 + rng.exponential(0.05, n), hung=1e-9),
)
PEERS = ("plain blocks", CUBED.name, SPARK.name, "repetition")


def rough(block: np.ndarray) -> np.ndarray:
    """Nothing that the results of other blocks would tell."""
    return np.sign(np.sin(1e3 * block.sum(axis=1)))


def attempt(block: np.ndarray, seconds: float) -> np.ndarray:
    """The function, after some seconds, unless it is cancelled."""
    pause(seconds)
    return rough(block)


def work(block: np.ndarray, times: np.ndarray) -> np.ndarray:
    """The function, after the seconds of this attempt at this chunk."""
    chunk, number = task_here()
    return attempt(block, times[number % len(times), chunk])


def task_here() -> tuple[int, int]:
    """Number of the chunk that the calling function was given, and of what is launched so late."""
    name, chunk = get_worker().get_current_task()
    return chunk, int(name.rpartition("-again-")[2]) if "-again-" in name else 0


def exact(rounds: int, sizes: tuple[Size, ...]) -> None:
    """Seconds of all systems in the same rounds, over the best exact peer of each quantile."""
    warnings.simplefilter("ignore", RuntimeWarning)
    for size in sizes:
        for law in LAWS:
            _table(law, size, rounds, _measured(law, size, rounds))


def _measured(law: Law, size: Size, rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Seconds and work, in seconds of workers, of every system in every round."""
    client, pids = cluster_of(size)
    blocks = blocks_of(size.k)
    coded = {
        code: dask_bacc.encode(blocks.reshape(-1, 20), k=size.k, n=n, code=code)
        for code, n in (("uncoded", size.k), ("repetition", size.n))
    }
    truth = rough(blocks.reshape(-1, 20))
    found: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
    more = np.random.default_rng(11)
    for drawn in rounds_of(law, size, rounds):
        further = np.stack([law.draw(more, size.n) for _ in range(6)])
        times = np.vstack([drawn.times, drawn.copies, further])
        for name in (*PEERS, *GATES):
            if law.hung and name == "plain blocks":
                continue
            with stopped([pids[worker] for worker in drawn.hung]):
                if name in (CUBED.name, SPARK.name):
                    policy = CUBED if name == CUBED.name else SPARK
                    taken = measure_duplicates(
                        client, policy, attempt, blocks, drawn.times, drawn.copies, GIVE_UP
                    )
                    found[name].append((min(taken.seconds, GIVE_UP), taken.spent))
                else:
                    code = "repetition" if name == "repetition" else "uncoded"
                    gate, attempts = GATES.get(name, (1.0, 1.0))
                    options = {"bacc.backup.gate": gate, "bacc.backup.work": attempts}
                    with dask.config.set(options):
                        found[name].append(_ours(coded[code], times, truth, name in GATES))
            settle(client)
    return found


def _ours(
    coded: dask_bacc.CodedArray, times: np.ndarray, truth: np.ndarray, copies: bool
) -> tuple[float, float]:
    begin = time.perf_counter()
    run = coded.map(work, times, copies=copies)
    try:
        answer = run.result(timeout=GIVE_UP)
    except TimeoutError:
        run.cancel()
        return GIVE_UP, GIVE_UP * coded.n
    seconds = time.perf_counter() - begin
    np.testing.assert_array_equal(answer, truth)
    spent = 0.0
    for chunk in run.report.chunks:
        for tried in (chunk, *chunk.others):
            if tried.started is not None:
                end = seconds if tried.ended is None else tried.ended
                spent += min(end, seconds) - tried.started
    return seconds, spent


def _table(law: Law, size: Size, rounds: int, found: dict) -> None:
    print(f"\n{law.name}, k={size.k}, {size.workers} workers, {rounds} rounds, exact answers")
    print(f"{'':36}{'p50':>8}{'p99':>8}{'over best peer':>18}{'work':>8}")
    quantiles = {
        name: np.quantile([seconds for seconds, _ in values], [0.5, 0.99], method="lower")
        for name, values in found.items()
    }
    usual = np.mean(law.draw(np.random.default_rng(0), 10_000))
    peers = np.min([quantiles[name] for name in PEERS if name in quantiles], axis=0)
    for name, (p50, p99) in quantiles.items():
        work_of = np.mean([spent for _, spent in found[name]]) / size.k / usual
        ratios = f"{p50 / peers[0]:9.2f}{p99 / peers[1]:9.2f}"
        print(f"{name:36}{p50:8.2f}{p99:8.2f}{ratios}{work_of:8.2f}")
