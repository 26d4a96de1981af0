"""When coding pays: time against work against error, as plans foresee them.

A rough, a smooth and a linear function of eight blocks, times by a Pareto law of 1.5 from half a
second on, for as many workers as blocks and for more. `benchmarks.planning` holds plans to what
runs take.
"""

from __future__ import annotations

import argparse

from distributed import Client, LocalCluster
from scipy import stats

import dask_bacc
from benchmarks.planning import K, blocks_of
from benchmarks.tail.defaults import linear, mixed
from benchmarks.tail.exact import rough

SHOWN = ("plain Dask", "copies", "repetition", "parity, 4 more", "parity, 4 more, fewer")
FUNCTIONS = {"rough": rough, "smooth": mixed, "linear": linear}
HEAVY = stats.pareto(1.5, scale=0.5)


def main() -> None:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.pays", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--workers", nargs="+", type=int, default=[8, 12, 16])
    parser.add_argument("--rtol", type=float, default=1e-2)
    parser.add_argument("--functions", nargs="+", choices=FUNCTIONS, default=list(FUNCTIONS))
    options = parser.parse_args()
    with (
        LocalCluster(
            n_workers=1, threads_per_worker=4, processes=False, dashboard_address="127.0.0.1:0"
        ) as cluster,
        Client(cluster) as client,
    ):
        heads = "".join(
            f"{f'{count} workers: p50':>22}{'p99':>7}{'work':>6}" for count in options.workers
        )
        print(f"{'':10}{'':24}{'error':>9}{heads}")
        for name in options.functions:
            plans = [
                dask_bacc.plan(
                    blocks_of(1),
                    FUNCTIONS[name],
                    k=K,
                    workers=count,
                    times=HEAVY,
                    rtol=options.rtol,
                    client=client,
                )
                for count in options.workers
            ]
            tables = [{f.choice.name: f for f in planned.forecasts} for planned in plans]
            for row in SHOWN:
                found = [table[row] for table in tables]
                error = max(f.error for f in found)
                cells = "".join(
                    f"{f.p50:20.2f}{'*' if planned.best is f else ' '}{f.p99:8.2f}{f.work:6.2f}"
                    for f, planned in zip(found, plans, strict=True)
                )
                said = "exact" if error < 1e-9 else f"{error:.0e}"
                print(f"{name if row == SHOWN[0] else '':10}{row:24}{said:>9}{cells}")
            chosen = ", ".join(planned.best.choice.name for planned in plans)
            print(f"{'':10}recommended: {chosen}", flush=True)


if __name__ == "__main__":
    main()
