"""The systems of `benchmarks.tail` in simulation."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from benchmarks.peers import CUBED, SPARK, Duplicates, simulate_duplicates
from benchmarks.tail_systems import LAWS, SYSTEMS, Round, Size, rounds_of
from dask_bacc import coding
from dask_bacc.cluster.simulator import simulate
from dask_bacc.cluster.stragglers import Patience


def simulated(
    name: str, size: Size, rounds: Iterable[Round], overhead: float = 0.0
) -> list[float]:
    """Seconds to the answer of every round, without a cluster.

    A system of copies takes the `overhead` for each task, since it goes by when it sees that tasks
    end, and a coded run once, since it goes by when they ended.
    """
    k, n = size.k, size.n
    codes = {
        "plain blocks": (coding.Uncoded(k, k), k),
        "repetition": (coding.Repetition(k, n), n),
        "published BACC": (coding.Berrut(k, n), k),
        "eager": (coding.Berrut(k, n, systematic=True), k),
        "backup": (coding.Berrut(k, n, systematic=True), k),
    }
    patience = Patience.configured() if name == "backup" else None
    seconds = []
    for drawn in rounds:
        if isinstance(policy := SYSTEMS[name], Duplicates):
            first = [_seconds(drawn, size, block, block) for block in range(k)]
            times = np.array(first) + overhead
            # Second copies find workers that are well.
            seconds.append(simulate_duplicates(policy, times, drawn.copies[:k] + overhead)[0])
            continue
        code, enough = codes[name]
        run = simulate(
            code,
            coding.get_decoder(None, code),
            lambda chunk, thread, drawn=drawn: _seconds(drawn, size, chunk, thread),
            workers=size.workers * size.threads,
            enough=enough,
            patience=patience,
            overhead=overhead,
        )
        seconds.append(run.seconds)
    return seconds


def _seconds(drawn: Round, size: Size, chunk: int, thread: int) -> float:
    """Seconds of a chunk on a thread; neighbouring threads are those of different workers."""
    return math.inf if thread % size.workers in drawn.hung else float(drawn.times[chunk])


def large_jobs() -> None:
    """Groups of (32, 40), as many as fill the workers; a job ends with its last group."""
    print(
        "\nsimulated, groups of k=32, n=40, Pareto 1.5, a job ends with its last group: p50, p99"
    )
    systems = ("plain blocks", CUBED.name, SPARK.name, "eager", "backup")
    print(f"{'workers':>8}" + "".join(f"{system:>36}" for system in systems))
    size = Size(32, 40, 40, 1)
    for workers in (40, 400, 4000, 10_000):
        groups = workers // 40
        line = []
        for system in systems:
            per_group = simulated(system, size, rounds_of(LAWS[0], size, 30 * groups))
            jobs = np.array(per_group).reshape(30, groups).max(axis=1)
            line.append("{:.2f}, {:.2f}".format(*np.quantile(jobs, [0.5, 0.99])))
        print(f"{workers:8}" + "".join(f"{cell:>36}" for cell in line))
