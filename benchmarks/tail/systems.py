"""What `benchmarks.tail` compares, on real workers: coded runs, copies, what other engines do."""

from __future__ import annotations

import math
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
from distributed import Client, LocalCluster, get_worker

import dask_bacc
from benchmarks.tail.peers import CUBED, SPARK, Duplicates, measure_duplicates, measure_first
from dask_bacc import coding
from dask_bacc.runtime.monitors import monitor_of

#: Seconds after which a round counts as never answered.
GIVE_UP = 8.0
RTOL = 1e-2


class Size(NamedTuple):
    """Blocks, chunks, worker processes and their threads."""

    k: int
    n: int
    workers: int
    threads: int


class Law(NamedTuple):
    """Of the seconds of a task."""

    name: str
    draw: Callable[[np.random.Generator, int], np.ndarray]
    #: share of the workers that are stopped
    hung: float = 0.0


class Round(NamedTuple):
    """What all systems get."""

    #: seconds of the first and of second attempts
    times: np.ndarray
    copies: np.ndarray
    #: workers that are stopped
    hung: tuple[int, ...] = ()


LAWS = (
    Law("Pareto 1.5", lambda rng, n: 0.1 * (1 + rng.pareto(1.5, n))),
    Law("shifted exponential", lambda rng, n: 0.1 + rng.exponential(0.1, n)),
    Law("10% hung", lambda rng, n: 0.1 + rng.exponential(0.01, n), hung=0.1),
)


def rounds_of(law: Law, size: Size, rounds: int) -> Iterator[Round]:
    """The same rounds whenever it is called."""
    rng = np.random.default_rng(7)
    stopped = max(1, round(law.hung * size.workers)) if law.hung else 0
    for _ in range(rounds):
        times, copies = law.draw(rng, size.n), law.draw(rng, size.n)
        yield Round(times, copies, tuple(rng.permutation(size.workers)[:stopped].tolist()))


WEIGHTS = np.random.default_rng(0).normal(size=(20, 200)) / 10


def function(block: np.ndarray) -> np.ndarray:
    return np.tanh(block @ WEIGHTS)


def work(block: np.ndarray, times: np.ndarray) -> np.ndarray:
    """The function, after the seconds of this chunk."""
    return attempt(block, times[get_worker().get_current_task()[1]])


def attempt(block: np.ndarray, seconds: float) -> np.ndarray:
    """The function, after some seconds, unless it is cancelled."""
    pause(seconds)
    return function(block)


def pause(seconds: float) -> None:
    """Compute for some seconds, unless the task is cancelled: rounds are not to mix."""
    end = time.perf_counter() + min(seconds, GIVE_UP)
    while (left := end - time.perf_counter()) > 0 and not dask_bacc.should_stop():
        time.sleep(min(left, 0.02))


def blocks_of(k: int) -> np.ndarray:
    """Blocks that vary smoothly."""
    position = (np.arange(k) + 0.5) / k
    first, second = np.random.default_rng(1).normal(size=(2, 10, 20))
    return first + np.cos(np.pi * position)[:, None, None] * second


class Coded(NamedTuple):
    """A coded run: the name of its code, and what `map` is given."""

    code: str
    options: dict
    #: results to wait for, as a share of `k`
    share: float = 1.0

    def enough(self, k: int) -> int:
        """Results to wait for."""
        return math.ceil(self.share * k)


#: waits for five results where there are eight blocks, and then for a small enough estimate
FEWER = "eager, fewer"
#: as many results as blocks by Dask's own futures: who waits for as many is not sooner
FIRST = "first k of n, no answer"
SYSTEMS: dict[str, Duplicates | Coded] = {
    "plain blocks": Coded("uncoded", {}),
    CUBED.name: CUBED,
    SPARK.name: SPARK,
    "repetition": Coded("repetition", {}),
    "published BACC": Coded("berrut", {"decoder": "berrut"}),
    "eager": Coded("systematic", {"rtol": RTOL}),
    FEWER: Coded("systematic", {"rtol": RTOL}, share=0.6),
    "backup": Coded("systematic", {"rtol": RTOL, "launch": "backup"}),
}


class Systems:
    """The systems that are compared, over the same blocks, whose data travels in the tasks."""

    def __init__(self, client: Client, k: int, n: int) -> None:
        self.client, self.k, self.n = client, k, n
        blocks = blocks_of(k)
        self.truth = function(blocks).reshape(-1, 200)
        self.blocks = blocks
        self.chunks = coding.Berrut(k, n, systematic=True).encode(blocks)
        self.coded = {
            name: dask_bacc.encode(blocks.reshape(-1, 20), k=k, n=n, code=name)
            for name in ("systematic", "berrut", "repetition")
        }
        self.plain = dask_bacc.encode(blocks.reshape(-1, 20), k=k, n=k, code="uncoded")
        self.error = math.nan
        self.estimate = math.nan
        self.spent = math.nan
        self.wasted = math.nan

    def run(self, name: str, times: np.ndarray, copies: np.ndarray) -> float:
        """Seconds to the answer; the error, its estimate and worker-seconds are kept."""
        self.error = self.estimate = self.spent = self.wasted = math.nan
        if name == FIRST:
            return measure_first(self.client, attempt, self.chunks, times, self.k)
        if isinstance(policy := SYSTEMS[name], Duplicates):
            return self._duplicates(policy, times, copies)
        coded = self.plain if policy.code == "uncoded" else self.coded[policy.code]
        begin = time.perf_counter()
        # Blocks that are run once more have a table of their own.
        run = coded.map(work, times, enough=policy.enough(self.k), copies=False, **policy.options)
        try:
            answer = run.result(timeout=GIVE_UP)
        except (TimeoutError, dask_bacc.DecodeError):
            run.cancel()
            return math.inf
        seconds = time.perf_counter() - begin
        report = run.report
        self.error = float(np.linalg.norm(answer - self.truth) / np.linalg.norm(self.truth))
        self.estimate = math.nan if report.error is None else report.error
        began = [chunk for chunk in report.chunks if chunk.started is not None]
        used = sum(c.ended - c.started for c in began if c.state == "returned")
        self.wasted = sum(seconds - c.started for c in began if c.state != "returned")
        self.spent = used + self.wasted
        return seconds

    def _duplicates(self, policy: Duplicates, times: np.ndarray, copies: np.ndarray) -> float:
        self.error = 0.0
        seconds, self.spent, self.wasted = measure_duplicates(
            self.client, policy, attempt, self.blocks, times, copies, GIVE_UP
        )
        return seconds


@contextmanager
def stopped(pids: list[int]) -> Iterator[None]:
    """Processes that hang meanwhile."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


_open: dict = {}


def cluster_of(size: Size) -> tuple[Client, list[int]]:
    """One cluster for all rounds of a size, and the processes of its workers."""
    if _open.get("workers") != (size.workers, size.threads):
        close()
        cluster = LocalCluster(
            n_workers=size.workers,
            threads_per_worker=size.threads,
            dashboard_address="127.0.0.1:0",
        )
        client = Client(cluster)
        _open.update(workers=(size.workers, size.threads), cluster=cluster, client=client)
        # What workers import with their first task is no part of a round.
        client.run(function, blocks_of(1))
        _open["pids"] = list(client.run(os.getpid).values())
    return _open["client"], _open["pids"]


def systems_of(size: Size) -> Systems:
    """The systems on the cluster of this size."""
    client, _ = cluster_of(size)
    if _open.get("size") != size:
        _open.update(size=size, systems=Systems(client, size.k, size.n))
    return _open["systems"]


def close() -> None:
    """End the cluster that is open, if any."""
    if "client" in _open:
        _open["client"].close()
        _open["cluster"].close()
    _open.clear()


def settle(client: Client) -> None:
    """Wait until no thread is taken by what was cancelled, so that rounds do not mix."""
    while any(client.run(lambda dask_worker: dask_worker.state.executing_count).values()):
        time.sleep(0.05)
    # Until their messages have come, the next run keeps off the workers that were at it.
    end = time.monotonic() + 1
    while monitor_of(client).still_running() and time.monotonic() < end:
        time.sleep(0.01)
