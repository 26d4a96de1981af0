"""Rounds on real worker processes, some of them slow."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from distributed import Client, LocalCluster, get_worker, wait

import dask_bacc
from benchmarks.rounds.jobs import CLASSES, Array, Job, logistic, softmax
from benchmarks.tail.peers import CUBED, SPARK, Duplicates, run_duplicates
from benchmarks.tail.systems import GIVE_UP, pause, settle

K, N, WORKERS = 8, 12, 12
#: Seconds of a chunk, and by how much slow workers are slower.
SECONDS, SLOWER = 0.3, 10.0
SLOW = (0, 1)
#: Seconds of the shortest tasks where they are drawn.
SHORTEST = 0.1
#: Times the loss that is aimed at, at which it is reached.
CLOSE = 1.002
#: Error of a gradient's sum that is good enough.
RTOL = 0.1


@contextmanager
def cluster_of(workers: int) -> Iterator[Client]:
    with (
        LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        client.wait_for_workers(workers)
        yield client


def on_slow(func: Callable[[Array, Array], Array], block: Array, argument: Array) -> Array:
    """The function, after some seconds, which are more where the worker is slow."""
    pause(SECONDS * (SLOWER if get_worker().name in SLOW else 1))
    return func(block, argument)


def by_law(
    func: Callable[[Array, Array], Array], block: Array, argument: Array, turn: str
) -> Array:
    """The function, after seconds that are drawn for every worker in every round."""
    drawn = np.random.default_rng(int(turn)).pareto(1.5, WORKERS)
    pause(SHORTEST * (1 + float(drawn[get_worker().name])))
    return func(block, argument)


def sorted_data(job: Job) -> Array:
    return job.data[np.argsort(job.order, kind="stable")]


class Rounds(NamedTuple):
    """What rounds took, and how far off their sums were."""

    seconds: Array
    errors: Array


def iterated(
    job: Job,
    round_of: Callable[[Array, int], Any],
    rounds: int,
    exactly: bool,
) -> Rounds:
    """Rounds one after the other, each from the sum of the one before or from the exact one."""
    argument, seconds, errors = job.start, [], []
    for turn in range(rounds):
        begin = time.perf_counter()
        total = np.asarray(round_of(argument, turn))
        seconds.append(time.perf_counter() - begin)
        truth = job.func(job.data, argument)
        errors.append(float(np.linalg.norm(total - truth) / np.linalg.norm(truth)))
        argument = job.step(argument, truth if exactly else total, turn)
    return Rounds(np.array(seconds), np.array(errors))


def persistent(rounds: int) -> None:
    """Two of twelve workers slowed to a tenth, blocks sorted by class."""
    warnings.simplefilter("ignore", RuntimeWarning)
    job = logistic(K)
    func = partial(on_slow, job.func)
    with cluster_of(WORKERS - len(SLOW)):
        well = partial(on_slow_nowhere, job.func)
        coded = _coded(job)
        memory = coded.rounds(well, rtol=RTOL)
        healthy = iterated(job, lambda w, _: memory(w).result(), rounds, exactly=True)
    with cluster_of(WORKERS) as client:
        coded = _coded(job)
        found = {}
        memory = coded.rounds(func, rtol=RTOL)
        found["rounds"] = iterated(job, lambda w, _: memory(w).result(), rounds, exactly=True)
        client.restart()
        coded = _coded(job)
        found["map"] = iterated(
            job,
            lambda w, _: coded.map(func, w, combine="sum", rtol=np.inf).result(),
            rounds,
            exactly=True,
        )
    print(f"\ntwo of {WORKERS} workers slowed to a tenth, sorted blocks, {SECONDS} s a chunk")
    print(f"ten workers that are well: {np.median(healthy.seconds):.2f} s a round")
    for name, one in found.items():
        late = slice(rounds // 3, None)
        print(
            f"{name:8} {np.median(one.seconds[late]) / np.median(healthy.seconds):.2f} times, "
            f"the longest {one.seconds[late].max() / np.median(healthy.seconds):.2f}; "
            f"error of the sum {np.median(one.errors[late]):.2g}"
        )
        print("    errors " + " ".join(f"{e:.2g}" for e in one.errors))
        print("    seconds " + " ".join(f"{e:.2f}" for e in one.seconds))


def on_slow_nowhere(func: Callable[[Array, Array], Array], block: Array, w: Array) -> Array:
    pause(SECONDS)
    return func(block, w)


def _coded(job: Job) -> dask_bacc.CodedArray[Any]:
    coded = dask_bacc.encode(sorted_data(job), k=K, n=N).persist()
    wait(coded)
    return coded


def accuracy(rounds: int) -> None:
    """Seconds until the loss is that of so many exact rounds; tasks take Pareto times."""
    warnings.simplefilter("ignore", RuntimeWarning)
    job = logistic(K)
    func = partial(by_law, job.func)
    aim = _loss(job, _exactly(job, rounds))
    print(f"\n{job.name}, mixed blocks, Pareto 1.5 from {SHORTEST} s on, {WORKERS} workers,")
    print(f"until the loss is that of {rounds} exact rounds, {aim:.4f}")
    data = job.data[np.random.default_rng(4).permutation(len(job.data))]
    taken = {}
    with cluster_of(WORKERS) as client:
        for name, round_of in _systems(data, func, client).items():
            taken[name] = _until(job, round_of, aim, most=4 * rounds)
            settle(client)
    plain = taken["plain Dask"][0].sum()
    for name, (seconds, work) in taken.items():
        print(
            f"{name:34} {seconds.sum():6.1f} s, {seconds.sum() / plain:.2f} times plain Dask; "
            f"{len(seconds)} rounds, p50 {np.median(seconds):.2f} s, "
            f"p99 {np.quantile(seconds, 0.99, method='higher'):.2f} s; "
            f"work {work:.2f}"
        )


def _systems(
    data: Array, func: partial[Array], client: Client
) -> dict[str, Callable[[Array, int], Any]]:
    """A round by each of what is compared."""
    coded = dask_bacc.encode(data, k=K, n=N).persist()
    uncoded = dask_bacc.encode(data, k=K, code="uncoded").persist()
    twice = dask_bacc.encode(data, k=K, n=N, code="repetition").persist()
    blocks = client.scatter(np.split(data, K))
    wait([coded, uncoded, twice, *blocks])
    memory = coded.rounds(func, rtol=RTOL)
    few = coded.rounds(func, rtol=RTOL, launch="backup")

    def plain(w: Array, turn: int) -> Any:
        futures = client.map(func, blocks, argument=w, turn=str(turn), pure=False)
        return np.sum(client.gather(futures), axis=0)

    def mapped(array: dask_bacc.CodedArray[Any], **options: Any) -> Callable[[Array, int], Any]:
        return lambda w, turn: array.map(func, w, str(turn), combine="sum", **options)

    def duplicated(policy: Duplicates) -> Callable[[Array, int], Any]:
        def round_of(w: Array, turn: int) -> Any:
            def submit(block: int, _: int) -> Any:
                return client.submit(func, blocks[block], w, str(turn), pure=False)

            _, futures, _ = run_duplicates(client, policy, submit, K, GIVE_UP)
            client.cancel(futures)
            # It has gathered them, and the sum is known.
            return sum(func.args[0](block, w) for block in np.split(data, K))

        return round_of

    return {
        "plain Dask": plain,
        CUBED.name: duplicated(CUBED),
        SPARK.name: duplicated(SPARK),
        "repetition": mapped(twice, copies=False),
        "copies": mapped(uncoded),
        "coded, every round new": mapped(coded, rtol=RTOL),
        "rounds, few chunks at first": lambda w, turn: few(w, str(turn)),
        "rounds that remember": lambda w, turn: memory(w, str(turn)),
    }


def _exactly(job: Job, rounds: int) -> Array:
    argument = job.start
    for turn in range(rounds):
        argument = job.step(argument, job.func(job.data, argument), turn)
    return argument


def _loss(job: Job, weights: Array) -> float:
    """Mean cross-entropy of the logistic regression."""
    x, y = job.data[:, :-CLASSES], job.data[:, -CLASSES:]
    chances = softmax(x @ weights.reshape(-1, CLASSES))
    return float(-np.log((chances * y).sum(axis=1)).mean())


def _until(
    job: Job, round_of: Callable[[Array, int], Any], aim: float, most: int
) -> tuple[Array, float]:
    """Seconds of the rounds until the loss is as small, and the mean work of those that say it."""
    argument, seconds, work = job.start, [], []
    for turn in range(most):
        begin = time.perf_counter()
        found = round_of(argument, turn)
        is_run = isinstance(found, dask_bacc.CodedRun)
        total = np.asarray(found.result() if is_run else found)
        seconds.append(time.perf_counter() - begin)
        work.append(found.report.work if is_run else np.nan)
        argument = job.step(argument, total, turn)
        if _loss(job, argument) <= aim * CLOSE:
            break
    return np.array(seconds), float(np.mean(work))


def cost(rounds: int) -> None:
    """What memory adds to rounds of functions that take no time."""
    warnings.simplefilter("ignore", RuntimeWarning)
    job = logistic(K)
    with cluster_of(WORKERS):
        coded = _coded(job)
        memory = coded.rounds(job.func, rtol=np.inf, enough=K)
        without, remembering = [], []
        argument = job.start
        for turn in range(rounds):
            for taken, round_of in (
                (without, partial(coded.map, job.func, combine="sum", rtol=np.inf)),
                (remembering, memory),
            ):
                begin = time.perf_counter()
                round_of(argument).result()
                taken.append(time.perf_counter() - begin)
            argument = job.step(argument, job.func(job.data, argument), turn)
    before, after = (1e3 * float(np.median(taken[2:])) for taken in (without, remembering))
    print(f"\nk={K}, results of {len(job.start)} numbers: a round {before:.0f} ms, with memory ")
    print(f"{after:.0f} ms; {memory.memory.nbytes / (N * 8 * len(job.start)):.1f} rounds are kept")
