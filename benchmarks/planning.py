"""What a plan says against what runs then take and err, by functions and laws of times.

Plans and runs go by the same drawn seconds, so that what differs is the prediction's fault and not
that of a few draws.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable

import numpy as np
from distributed import Client, LocalCluster, get_worker

import dask_bacc
from benchmarks.processes.cluster import LONG
from dask_bacc.planning.forecast import ATTEMPTS, MOST, Forecast

K, WORKERS = 8, 12
rng = np.random.default_rng(3)
FIRST = rng.normal(size=(20, 40)) / 6
MIXING = rng.normal(size=(10, 10)) / 3
CENTRES = rng.normal(size=(30, 200))

Function = Callable[[np.ndarray], np.ndarray]
FUNCTIONS: dict[str, Function] = {
    "linear": lambda block: MIXING @ block @ FIRST,
    "sigmoid of mixed rows": lambda block: 1 / (1 + np.exp(-MIXING @ block @ FIRST)),
    "sine, row by row": lambda block: np.sin(block @ FIRST),
    "kernel of the block": lambda block: np.exp(
        -((block.ravel() - CENTRES) ** 2).sum(axis=1) / 2000
    ),
    "rank of values": lambda block: np.argsort(np.argsort(block.ravel())).astype(float),
}
LAWS: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    # Of 2, from 0.3 s on.
    "pareto": lambda rng, n: 0.3 * (1 + rng.pareto(2.0, n)),
    # Of 0.4 s.
    "lognormal": lambda rng, n: 0.4 * rng.lognormal(0.0, 0.6, n),
    # Ten times 0.3 s, once in ten.
    "rare": lambda rng, n: np.where(rng.random(n) < 0.1, 3.0, 0.3),
}


def work(block: np.ndarray, name: str, times: np.ndarray) -> np.ndarray:
    """A function, after the seconds of this attempt at this chunk; at once where it is tried."""
    task = get_worker().get_current_task()
    if isinstance(task, tuple) and task[0].startswith("bacc-"):
        run, chunk = task
        number = int(run.rpartition("-again-")[2]) if "-again-" in run else 0
        end = time.perf_counter() + times[min(number, ATTEMPTS - 1), chunk]
        while time.perf_counter() < end and not dask_bacc.should_stop():
            time.sleep(0.005)
    return FUNCTIONS[name](block)


def blocks_of(seed: int) -> np.ndarray:
    """Blocks that vary smoothly, and a little on their own."""
    draws = np.random.default_rng(seed)
    first, second = draws.normal(size=(2, 10, 20))
    angle = np.pi * (np.arange(K) + 0.5)[:, None, None] / K
    own = 0.02 * draws.normal(size=(K, 10, 20))
    return (first + np.cos(angle) * second + own).reshape(-1, 20)


def drawn(law: str, rounds: int) -> np.ndarray:
    """The seconds of all attempts in all rounds."""
    return LAWS[law](np.random.default_rng(5), rounds * ATTEMPTS * MOST * K).reshape(
        rounds, ATTEMPTS, MOST * K
    )


class Recorded:
    """Gives a plan the seconds of the rounds one after the other, over and over."""

    def __init__(self, table: np.ndarray) -> None:
        self.table = table
        self.turn = 0

    def __call__(self, _: np.random.Generator, count: int) -> np.ndarray:
        """The next round's."""
        self.turn += 1
        return self.table[(self.turn - 1) % len(self.table)].ravel()[:count]


def measured(
    x: np.ndarray, truth: np.ndarray, name: str, chosen: Forecast, rtol: float, table: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Seconds and errors of a choice in all rounds."""
    choice = chosen.choice
    coded = dask_bacc.encode(x, k=K, n=choice.n, code=choice.code)
    seconds, errors = [], []
    for times in table:
        begin = time.perf_counter()
        answer = coded.map(work, name, times, rtol=rtol, **choice.options).result(timeout=LONG)
        seconds.append(time.perf_counter() - begin)
        errors.append(np.linalg.norm(answer - truth) / np.linalg.norm(truth))
        # Cancelled functions end soon; rounds are not to mix.
        time.sleep(0.05)
    return np.array(seconds), np.array(errors)


def compare(client: Client, name: str, law: str, rounds: int, rtol: float) -> list[float]:
    """One line: the plan's best choice, predicted and measured, and plain Dask beside it."""
    x, table = blocks_of(1), drawn(law, rounds)
    truth = np.concatenate([FUNCTIONS[name](block) for block in np.split(x, K)])
    planned = dask_bacc.plan(
        x, work, name, table[0], k=K, rtol=rtol, times=Recorded(table), client=client
    )
    best, plain = planned.best, planned.forecasts[0]
    seconds, errors = measured(x, truth, name, best, rtol, table)
    p50, p99 = np.quantile(seconds, [0.5, 0.99])
    error = float(np.sqrt(np.mean(errors**2)))
    others = ""
    if best.choice.n == K:
        # Where coding does not pay, it does not.
        coded = min((f for f in planned.forecasts if f.choice.code == "systematic"), key=_time)
        their = measured(x, truth, name, coded, rtol, table)[0]
        others = f"; {coded.choice.name}: {np.mean(their) / np.mean(seconds):.2f} of its mean"
    print(
        f"{name:24}{law:12}{best.choice.name:24}{best.p50:6.2f}{p50:6.2f}{best.p99:7.2f}{p99:6.2f}"
        f"{best.error:9.1e}{error:9.1e}{plain.p50 / best.p50:6.1f}{others}",
        flush=True,
    )
    ratio = best.error / error if error > 1e-9 else 1.0
    return [best.p50 / p50, best.p99 / p99, ratio]


def _time(found: Forecast) -> float:
    return found.p50 + found.p99


def main() -> None:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.planning", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--rtol", type=float, default=1e-2)
    parser.add_argument("--functions", nargs="+", choices=FUNCTIONS, default=list(FUNCTIONS))
    parser.add_argument("--laws", nargs="+", choices=LAWS, default=list(LAWS))
    options = parser.parse_args()
    warnings.simplefilter("ignore", RuntimeWarning)
    print(
        f"k={K}, {WORKERS} workers, rtol={options.rtol:g}, {options.rounds} rounds; p50, p99 and "
        "error, predicted and measured; plain Dask's predicted median over it"
    )
    with (
        LocalCluster(
            n_workers=WORKERS, threads_per_worker=1, dashboard_address="127.0.0.1:0"
        ) as cluster,
        Client(cluster) as client,
    ):
        ratios = np.array(
            [
                compare(client, name, law, options.rounds, options.rtol)
                for name in options.functions
                for law in options.laws
            ]
        )
    for what, column in zip(("p50", "p99", "error"), ratios.T, strict=True):
        print(f"{what}: predicted over measured {column.min():.2f} to {column.max():.2f}")


if __name__ == "__main__":
    main()
