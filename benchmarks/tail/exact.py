"""Exact answers of a rough function: blocks that are run once more, against what others do."""

from __future__ import annotations

import time
import warnings
from collections import defaultdict
from collections.abc import Iterable

import dask
import numpy as np
from distributed import get_worker

import dask_bacc
from benchmarks.tail.peers import CUBED, SPARK, measure_duplicates, simulate_duplicates
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
from dask_bacc import coding
from dask_bacc.policy.lateness import Patience
from dask_bacc.policy.simulator import simulate

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
#: Rounds that are drawn for the simulator.
SIMULATED = 2000
#: Seconds and work of a system in every round.
Taken = list[tuple[float, float]]
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
            _table(law, size, _measured(law, size, rounds))


def _measured(law: Law, size: Size, rounds: int) -> dict[str, Taken]:
    """Seconds and work, in seconds of workers, of every system in every round."""
    client, pids = cluster_of(size)
    blocks = blocks_of(size.k)
    coded = {
        code: dask_bacc.encode(blocks.reshape(-1, 20), k=size.k, n=n, code=code)
        for code, n in (("uncoded", size.k), ("repetition", size.n))
    }
    truth = rough(blocks.reshape(-1, 20))
    found: defaultdict[str, Taken] = defaultdict(list)
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
        for _, tried in chunk.tried:
            if tried.started is not None:
                end = seconds if tried.ended is None else tried.ended
                spent += min(end, seconds) - tried.started
    return seconds, spent


def in_simulation(law: Law, size: Size, names: Iterable[str], rounds: int) -> dict[str, Taken]:
    """Seconds and work of every system in drawn rounds, where the runtime takes no time."""
    found: dict[str, Taken] = {}
    k, uncoded = size.k, coding.Uncoded(size.k, size.k)
    for name in names:
        rng, taken = np.random.default_rng(3), []
        for _ in range(rounds):
            times = np.minimum(law.draw(rng, 8 * size.n).reshape(8, size.n), GIVE_UP)
            if name in (CUBED.name, SPARK.name):
                policy = CUBED if name == CUBED.name else SPARK
                taken.append(simulate_duplicates(policy, times[0, :k], times[1, :k]))
                continue
            gate, attempts = GATES.get(name, (1.0, 1.0))
            code = coding.Repetition(k, size.n) if name == "repetition" else uncoded
            run = simulate(
                code,
                coding.FirstCopy(),
                lambda chunk, _, attempt, times=times: float(times[attempt % 8, chunk]),
                workers=size.workers,
                enough=k,
                copies=Patience(0.5, 1.5, 0.1, gate, attempts) if name in GATES else None,
            )
            taken.append((run.seconds, run.worker_seconds))
        found[name] = taken
    return found


def _table(law: Law, size: Size, found: dict[str, Taken]) -> None:
    rounds = len(next(iter(found.values())))
    print(f"\n{law.name}, k={size.k}, {size.workers} workers, {rounds} rounds, exact answers")
    heads = ("p50", "p99", "over best peer", "work", "sim p50", "p99", "over best peer", "work")
    print(f"{'':32}" + "".join(f"{head:>{18 if 'over' in head else 9}}" for head in heads))
    columns = [_columns(law, size, found)]
    if not law.hung:
        columns.append(_columns(law, size, in_simulation(law, size, found, SIMULATED)))
    for name in found:
        print(f"{name:32}" + "".join(f"{value:9.2f}" for part in columns for value in part[name]))


def _columns(law: Law, size: Size, found: dict[str, Taken]) -> dict[str, tuple[float, ...]]:
    """Median and 99th percentile, the same over the best peer's, and work in tasks a block."""
    quantiles = {
        name: np.quantile([seconds for seconds, _ in values], [0.5, 0.99], method="lower")
        for name, values in found.items()
    }
    usual = np.mean(np.minimum(law.draw(np.random.default_rng(0), 100_000), GIVE_UP))
    peers = np.min([quantiles[name] for name in PEERS if name in quantiles], axis=0)
    return {
        name: (*both, *(both / peers), np.mean([w for _, w in found[name]]) / size.k / usual)
        for name, both in quantiles.items()
    }
