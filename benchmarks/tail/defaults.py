"""The default call, which is not told what kind of function it has, beside two that are."""

from __future__ import annotations

import time
import warnings
from collections import defaultdict
from collections.abc import Callable

import numpy as np

import dask_bacc
from benchmarks.tail.exact import rough, task_here
from benchmarks.tail.systems import (
    GIVE_UP,
    WEIGHTS,
    Law,
    Size,
    blocks_of,
    cluster_of,
    function,
    pause,
    rounds_of,
    settle,
)

#: Mixes the rows of a block, so that nobody can tell one by one what they give.
MIXING = np.random.default_rng(2).normal(size=(10, 10)) / 3


def linear(block: np.ndarray) -> np.ndarray:
    return MIXING @ block @ WEIGHTS


def mixed(block: np.ndarray) -> np.ndarray:
    """Smooth, and not row by row."""
    return np.tanh(MIXING @ block @ WEIGHTS)


FUNCTIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "smooth, row by row": function,
    "smooth": mixed,
    "linear": linear,
    "rough": rough,
}
#: What is compared: the default call, the exact setting, and a coded run without copies, at the
#: default tolerance and at a tenth.
CALLS = {
    "default": ("systematic", {}),
    "exact": ("uncoded", {"rtol": 0}),
    "coded": ("systematic", {"copies": False}),
    "coded, rtol=0.1": ("systematic", {"copies": False, "rtol": 0.1}),
}


def work(block: np.ndarray, times: np.ndarray, name: str) -> np.ndarray:
    """A function, after the seconds of this attempt at this chunk."""
    chunk, number = task_here()
    pause(times[number % len(times), chunk])
    return FUNCTIONS[name](block)


def defaults(law: Law, size: Size, rounds: int) -> None:
    """Seconds of the calls in the same rounds, and how far off their answers are."""
    warnings.simplefilter("ignore", RuntimeWarning)
    client, _ = cluster_of(size)
    blocks = blocks_of(size.k)
    coded = {
        code: dask_bacc.encode(blocks.reshape(-1, 20), k=size.k, n=n, code=code)
        for code, n in (("uncoded", size.k), ("systematic", size.n))
    }
    print(f"\n{law.name}, k={size.k}, n={size.n}, {size.workers} workers, {rounds} rounds")
    print(
        f"{'':20}{'':18}{'p50':>8}{'p99':>8}{'mean':>8}{'default over':>14}{'error':>9}{'bars':>7}"
    )
    for name, func in FUNCTIONS.items():
        truth = np.concatenate([func(block) for block in blocks])
        seconds, errors, bars = (defaultdict[str, list[float]](list) for _ in range(3))
        more = np.random.default_rng(11)
        for drawn in rounds_of(law, size, rounds):
            further = np.stack([law.draw(more, size.n) for _ in range(6)])
            times = np.vstack([drawn.times, drawn.copies, further])
            for call, (code, options) in CALLS.items():
                begin = time.perf_counter()
                run = coded[code].map(work, times, name, **options)
                answer = run.result(timeout=3 * GIVE_UP)
                seconds[call].append(time.perf_counter() - begin)
                error = float(np.linalg.norm(answer - truth) / np.linalg.norm(truth))
                errors[call].append(error)
                bars[call].append(error / run.report.error if run.report.error else 0.0)
                settle(client)
        for call, values in seconds.items():
            p50, p99 = np.quantile(values, [0.5, 0.99], method="lower")
            over = np.median(np.array(seconds["default"]) / values)
            mean = np.mean(seconds["default"]) / np.mean(values)
            print(
                f"{name if call == 'default' else '':20}{call:18}{p50:8.2f}{p99:8.2f}"
                f"{np.mean(values):8.2f}{over:7.2f}{mean:7.2f}{max(errors[call]):9.1e}"
                f"{max(bars[call]):7.2f}"
            )
