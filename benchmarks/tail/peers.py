"""What other engines do about stragglers, over plain Dask futures and in simulation."""

from __future__ import annotations

import heapq
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from distributed import Client, Future, as_completed


@dataclass(frozen=True)
class Duplicates:
    """A second copy of every task that takes over a multiple of a quantile of the others."""

    name: str
    quantile: float
    multiple: float
    minimum: float = 0.0


#: cubed's, with its least number of ten tasks left out, and Spark 4's.
CUBED = Duplicates("backup tasks, 0.5 and 3 (cubed)", 0.5, 3.0)
SPARK = Duplicates("backup tasks, 0.9 and 3 (Spark 4)", 0.9, 3.0, minimum=0.1)


def run_duplicates(
    client: Client,
    policy: Duplicates,
    submit: Callable[[int, int], Future],
    k: int,
    deadline: float,
) -> tuple[float, list[Future], dict[int, float]]:
    """Seconds until every block has a result, inf past the deadline; all futures; copies' begins.

    ``submit(block, attempt)`` sends one task.
    """
    begin = time.perf_counter()
    launched: dict[int, float] = {}
    futures = {(block, 0): submit(block, 0) for block in range(k)}
    ended: dict[int, float] = {}
    while len(ended) < k:
        now = time.perf_counter() - begin
        if now > deadline:
            return math.inf, list(futures.values()), launched
        for (block, _), future in futures.items():
            if block not in ended and future.status == "finished":
                ended[block] = now
        for block in late(policy, ended, k, now):
            if (block, 1) not in futures:
                futures[block, 1] = submit(block, 1)
                launched[block] = now
        time.sleep(0.002)
    done = {}
    for (block, _), future in futures.items():
        if future.status == "finished":
            done.setdefault(block, future)
    client.gather(list(done.values()))
    return time.perf_counter() - begin, list(futures.values()), launched


def measure_first(
    client: Client,
    attempt: Callable[[np.ndarray, float], Any],
    chunks: np.ndarray,
    times: np.ndarray,
    count: int,
) -> float:
    """Seconds until so many results of ``attempt(chunk, seconds)`` are here, and no answer."""
    begin = time.perf_counter()
    futures = client.map(attempt, list(chunks), times.tolist(), pure=False)
    came = as_completed(futures, with_results=True)
    for _ in range(count):
        next(came)
    seconds = time.perf_counter() - begin
    client.cancel(futures)
    return seconds


class Spent(NamedTuple):
    """Seconds to the answer, and those of workers until then."""

    seconds: float
    spent: float
    #: the part that went into attempts which were not the first to end
    wasted: float


def measure_duplicates(
    client: Client,
    policy: Duplicates,
    attempt: Callable[[np.ndarray, float], Any],
    blocks: np.ndarray,
    times: np.ndarray,
    copies: np.ndarray,
    deadline: float,
) -> Spent:
    """Run ``attempt(block, seconds)`` on all blocks, with the seconds of first and of second ones.

    The data is in the task, as in a coded run: a copy goes to any worker, not only to the one that
    has the data and may hang.
    """

    def submit(block: int, number: int) -> Future:
        seconds = float((times, copies)[number][block])
        return client.submit(attempt, blocks[block], seconds, pure=False)

    seconds, futures, begins = run_duplicates(client, policy, submit, len(blocks), deadline)
    client.cancel(futures)
    end = min(seconds, deadline)
    own = np.minimum(times[: len(blocks)], end)
    second = {b: min(float(copies[b]), end - begin) for b, begin in begins.items()}
    # Of two attempts the one that ended first was of use.
    first = [b for b, begin in begins.items() if times[b] <= begin + copies[b]]
    wasted = sum(second[b] if b in first else own[b] for b in begins)
    return Spent(seconds, float(own.sum()) + sum(second.values()), wasted)


def late(policy: Duplicates, ended: dict[int, float], k: int, now: float) -> list[int]:
    """Blocks whose task, started at zero, is to get a second copy."""
    needed = math.ceil(policy.quantile * k)
    if len(ended) < needed:
        return []
    limit = max(policy.minimum, policy.multiple * sorted(ended.values())[needed - 1])
    return [block for block in range(k) if block not in ended] if now > limit else []


def simulate_duplicates(
    policy: Duplicates, times: np.ndarray, copies: np.ndarray
) -> tuple[float, float]:
    """Seconds until every block has a result, and worker-seconds until then.

    ``times`` and ``copies`` are those of ``(k,)`` first and second attempts, which all start at
    once where there is a worker for each.
    """
    k = len(times)
    events = [(float(t), block) for block, t in enumerate(times)]
    heapq.heapify(events)
    ended: dict[int, float] = {}
    launched: dict[int, float] = {}
    needed = math.ceil(policy.quantile * k)
    limit = math.inf
    while len(ended) < k:
        at = min(events[0][0] if events else math.inf, limit)
        if math.isinf(at):
            return math.inf, math.inf
        if at == limit:
            limit = math.inf
            for block in set(range(k)).difference(ended):
                launched[block] = at
                heapq.heappush(events, (at + float(copies[block]), block))
            continue
        _, block = heapq.heappop(events)
        ended.setdefault(block, at)
        if len(ended) == needed and not launched:
            limit = max(policy.minimum, policy.multiple * at, at)
    end = max(ended.values())
    spent = float(np.minimum(times, end).sum())
    spent += sum(min(float(copies[b]), end - start) for b, start in launched.items())
    return end, spent
