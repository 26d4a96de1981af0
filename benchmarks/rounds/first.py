"""How far off sums of a first round are, and how far they are said to be, by itself and as one."""

from __future__ import annotations

import numpy as np

from benchmarks.rounds.jobs import JOBS, Array, Job
from dask_bacc import coding
from dask_bacc.results.combine import combine_results
from dask_bacc.results.joining import Cut, Joining
from dask_bacc.results.memory import Earlier
from dask_bacc.results.result import flat_result
from dask_bacc.results.solver import Solver


def first(jobs: list[str], k: int, draws: int) -> None:
    """Every job with its start, mixed and sorted, with a third of the chunks missing at random."""
    print(f"{'':32}   off   said   within 2  above 3 alone; as a first round, over those")
    for job in (make(k) for make in JOBS if make.__name__ in jobs):
        for mixed in (True, False):
            off, said = drawn(job, k, mixed, draws)
            ratios = off / said
            within = ((ratios < 2) & (ratios > 0.5)).mean(axis=1)
            above = (ratios > 3).mean(axis=1)
            less = [float(np.exp(np.log(x[1] / x[0]).mean())) for x in (off, said)]
            title = f"{job.name}, {'mixed' if mixed else 'sorted'}"
            print(
                f"{title:32} {np.median(off[0]):.1e} {np.median(said[0]):.1e}"
                f" {within[0]:5.0%} {above[0]:5.0%}; {less[0]:.2f} {less[1]:.2f}"
                f" {within[1]:5.0%} {above[1]:5.0%}",
                flush=True,
            )


def drawn(job: Job, k: int, mixed: bool, draws: int) -> tuple[Array, Array]:
    """``(2, draws)`` relative errors of the sum, alone and as a first round, and their estimates.

    One block at least is missing.
    """
    code, joining = coding.get_code("systematic", k, k * 3 // 2), Joining("sum", (Cut((), 0),))
    order, rng = np.argsort(job.order, kind="stable"), np.random.default_rng(0)
    if mixed:
        order = rng.permutation(order)
    chunks = code.encode(np.stack(np.split(job.data[order], k)))
    sketches = {i: [chunk] for i, chunk in enumerate(chunks)}
    values = [job.func(chunk, job.start) for chunk in chunks]
    total = np.sum(values[:k], axis=0)
    off, said = np.empty((2, draws)), np.empty((2, draws))
    for draw in range(draws):
        lost = [rng.integers(k), *rng.choice(code.n, code.n // 3 - 1, replace=False)]
        results = {i: flat_result(v) for i, v in enumerate(values) if i not in lost}
        specs = {i: result.spec() for i, result in results.items()}
        for which, earlier in enumerate((None, Earlier(0))):
            solver = Solver(code, coding.Kriging(), joining, earlier=earlier)
            solved = solver.solve(specs, sketches)
            answer = combine_results(solved, results, joining)
            off[which, draw] = np.linalg.norm(answer - total) / np.linalg.norm(total)
            said[which, draw] = solved.estimate.overall
    return off, said
