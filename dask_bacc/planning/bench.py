"""A cluster measured: plain tasks, copies and parity, with the same task times for all."""

from __future__ import annotations

import time
from collections import defaultdict
from typing import Any

import numpy as np
from distributed import Client, get_worker

from dask_bacc.api import encode
from dask_bacc.coding._typing import FloatArray
from dask_bacc.planning.choices import Choice
from dask_bacc.planning.times import drawn_from
from dask_bacc.worker.task import should_stop

#: Rows and columns of a block.
SHAPE = (10, 20)
#: Attempts at a chunk for which seconds are drawn.
ATTEMPTS = 2


def bench_here(client: Client, k: int, n: int, times: Any, rounds: int) -> str:
    """A table of seconds to the answer.

    Parameters
    ----------
    client : Client
    k, n : int
        Blocks, and chunks of the coded runs.
    times : object
        Seconds of tasks, as in `dask_bacc.plan`.
    rounds : int
    """
    draw, rng = drawn_from(times, [], []), np.random.default_rng(0)
    x = np.cos(np.pi * np.arange(k * SHAPE[0]) / (k * SHAPE[0]))[:, None] * np.ones(SHAPE[1])
    found: defaultdict[str, list[float]] = defaultdict(list)
    considered = (
        Choice("plain tasks", "uncoded", k, copies=False),
        Choice("copies", "uncoded", k),
        Choice("parity", "systematic", n),
        Choice("parity, backup", "systematic", n, "backup"),
    )
    for turn in range(rounds + 1):
        seconds = draw(rng, ATTEMPTS * n).reshape(ATTEMPTS, n)
        for choice in considered:
            coded = encode(x, k=k, n=choice.n, code=choice.code)
            begin = time.perf_counter()
            coded.map(waiting, seconds, client=client, **choice.options).result()
            if turn:  # the first warms workers up
                found[choice.name].append(time.perf_counter() - begin)
    threads = sum(client.nthreads().values())
    lines = [f"k={k}, n={n}, {threads} threads, {rounds} rounds: seconds to the answer"]
    lines += [f"{'':16}{'median':>8}{'longest':>9}{'mean':>8}"]
    lines += [
        f"{name:16}{np.median(values):8.2f}{max(values):9.2f}{np.mean(values):8.2f}"
        for name, values in found.items()
    ]
    return "\n".join(lines)


def waiting(block: FloatArray, seconds: FloatArray) -> FloatArray:
    """A smooth function of a block, after the seconds of this attempt, unless it is cancelled."""
    task: Any = get_worker().get_current_task()
    name, chunk = task
    # What is launched again has that in its name.
    attempt = int("-again-" in name)
    end = time.perf_counter() + float(seconds[attempt, chunk])
    while (left := end - time.perf_counter()) > 0 and not should_stop():
        time.sleep(min(left, 0.01))
    answer: FloatArray = np.tanh(block)
    return answer
