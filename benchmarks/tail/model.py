"""The systems of `benchmarks.tail` in simulation."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from benchmarks.tail.peers import CUBED, SPARK, Duplicates, simulate_duplicates
from benchmarks.tail.systems import (
    LAWS,
    RTOL,
    SYSTEMS,
    Round,
    Size,
    blocks_of,
    function,
    rounds_of,
)
from dask_bacc import coding
from dask_bacc._config import configured
from dask_bacc.coding import needs_solving
from dask_bacc.policy.lateness import Patience
from dask_bacc.policy.simulator import simulate


class Overhead(NamedTuple):
    """Seconds that a system takes beyond its simulation."""

    #: where all tasks are alike
    calm: float = 0.0
    #: where one task takes long, so that blocks are estimated or copied
    late: float = 0.0


NONE = Overhead()


def simulated(
    name: str, size: Size, rounds: Iterable[Round], overhead: Overhead = NONE
) -> list[float]:
    """Seconds to the answer of every round, without a cluster.

    A system of copies goes by when it sees that tasks end, which is later than when they do. What
    multiples of that time add is told from the rest by a round in which they count. A coded run
    has the overhead once, since it goes by when tasks ended.
    """
    k, n, threads = size.k, size.n, size.workers * size.threads
    codes = {
        "uncoded": coding.Uncoded(k, k),
        "repetition": coding.Repetition(k, n),
        "berrut": coding.Berrut(k, n),
        "systematic": coding.Berrut(k, n, systematic=True),
    }
    patience = configured(Patience, "bacc.backup") if name == "backup" else None
    seconds = []
    for drawn in rounds:
        if isinstance(policy := SYSTEMS[name], Duplicates):
            # Second copies find workers that are well.
            well = ~np.isin(np.arange(k) % size.workers, drawn.hung)
            seen = max(overhead.late - overhead.calm, 0.0) / policy.multiple
            times = np.where(well, drawn.times[:k], np.inf) + seen
            taken = simulate_duplicates(policy, times, drawn.copies[:k] + seen)[0]
            seconds.append(taken + overhead.calm - seen)
            continue
        code = codes[policy.code]
        decoder = coding.get_decoder(None, code)
        run = simulate(
            code,
            decoder,
            lambda chunk, _worker, _attempt, times=drawn.times: float(times[chunk]),
            workers=threads,
            enough=policy.enough(k),
            patience=patience,
            # Neighbouring threads are those of different workers.
            hung=[thread for thread in range(threads) if thread % size.workers in drawn.hung],
            # From as many results as blocks it always is.
            error=functools.partial(_error, k, n) if policy.share < 1 else None,
            rtol=RTOL,
        )
        came = [chunk for chunk, record in enumerate(run.records) if record.state == "returned"]
        left = sum(record.state == "running" for record in run.records)
        late = left and needs_solving(code, came, decoder)
        seconds.append(run.seconds + (overhead.late if late else overhead.calm))
    return seconds


def _error(k: int, n: int, returned: Sequence[int]) -> float:
    """The systematic code's estimate from these results."""
    blocks, code = blocks_of(k), coding.Berrut(k, n, systematic=True)
    results = {chunk: function(code.encode(blocks)[chunk]) for chunk in returned}
    gram = blocks.reshape(k, -1) @ blocks.reshape(k, -1).T
    error = coding.decode(code, results, gram=gram).error
    size = np.sqrt(np.mean(np.square(list(results.values()))))
    return float(np.sqrt(np.mean(error**2)) / size)


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
