"""Pods that are lost in the middle of a run, for coded runs and for plain Dask.

Run with ``python -m benchmarks.kubernetes``, as root; tests/kubernetes/world/README.md says what
kind of cluster that is.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import cloudpickle
import dask.array as da
import numpy as np
import pytest
from dask_kubernetes.operator import KubeCluster
from distributed import Client, Worker

import dask_bacc
from benchmarks.processes.cluster import LONG, until
from dask_bacc.kubernetes import manifests
from tests.kubernetes import work
from tests.kubernetes.world.outside import World

K, N = 6, 8
#: Pods that are killed.
KILLED = 2


def smooth(block: Any, seconds: float) -> Any:
    """A smooth function; the sleep stands in for compute time."""
    time.sleep(seconds)
    return np.tanh(block @ work.WEIGHTS)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="of a task")
    args = parser.parse_args()
    cloudpickle.register_pickle_by_value(work)
    with cluster() as (world, client):
        runs = {
            f"coded, k={K}, n={N}, rtol=0.05": lambda: coded(client, args.seconds, rtol=0.05),
            "coded, exact": lambda: coded(client, args.seconds, rtol=0),
            "dask, map_blocks": lambda: plain(client, args.seconds),
        }
        times: dict[tuple[str, bool], list[float]] = {}
        for turn in range(args.rounds):
            for name, begin in runs.items():
                for disturbed in (False, True):
                    seconds = timed(world, client, begin, args.seconds, disturbed=disturbed)
                    times.setdefault((name, disturbed), []).append(seconds)
            print(f"round {turn + 1} of {args.rounds}", flush=True)
        print(
            f"\n{N} worker pods, tasks of {args.seconds:g} s, {KILLED} pods killed in the middle"
        )
        print(f"{'':32}{'undisturbed':>14}{'disturbed':>14}{'ratio':>8}")
        for name in runs:
            before, after = (float(np.median(times[name, d])) for d in (False, True))
            print(f"{name:32}{before:12.2f} s{after:12.2f} s{after / before:8.2f}")
        handed_on(world, client)


@contextmanager
def cluster() -> Iterator[tuple[World, Client]]:
    """A cluster in a world of its own."""
    with (
        tempfile.TemporaryDirectory() as folder,
        pytest.MonkeyPatch.context() as patch,
        closing(World(Path(folder))) as world,
    ):
        patch.setenv("KUBECONFIG", str(world.config))
        made = manifests("coded", image="local", n=N, k=K, memory="1Gi")
        with (
            KubeCluster(
                custom_cluster_spec=made[-1],
                namespace="default",
                quiet=True,
                port_forward_cluster_ip=True,
                resource_timeout=LONG,
            ) as kubernetes,
            Client(kubernetes) as client,
        ):
            yield world, client


def coded(client: Client, seconds: float, rtol: float) -> Callable[[], Any]:
    """Start a coded run; what is returned waits for its answer."""
    chunks = dask_bacc.encode(work.X, k=K, n=N)
    return chunks.map(smooth, seconds, rtol=rtol, client=client).result


def plain(client: Client, seconds: float) -> Callable[[], Any]:
    """Start the same by ``map_blocks`` over as many blocks."""
    x = da.from_array(work.X, chunks=(len(work.X) // K, -1))
    y = da.map_blocks(smooth, x, seconds, dtype=float, chunks=(x.chunks[0], (60,)))
    return client.compute(y).result


def executing(dask_worker: Worker) -> int:
    """Tasks that a worker's threads are at."""
    return dask_worker.state.executing_count


def timed(
    world: World,
    client: Client,
    begin: Callable[[], Callable[[], Any]],
    seconds: float,
    *,
    disturbed: bool,
) -> float:
    """Seconds until the answer, with pods that are killed half-way through the tasks or not."""
    until(lambda: len(client.scheduler_info(n_workers=-1)["workers"]) == N, LONG, "no workers")
    # Nor what they import at their first task is measured, nor what an earlier run has left.
    client.run(smooth, work.X, 0.0)
    until(lambda: not sum(client.run(executing).values()), LONG, "an earlier run goes on")
    start = time.perf_counter()
    wait = begin()
    if disturbed:
        time.sleep(seconds / 2)
        busy = client.processing()
        workers = client.scheduler_info(n_workers=-1)["workers"]
        names = [workers[address]["name"] for address, keys in busy.items() if keys][:KILLED]
        pods = world.workers("coded")
        for name in names:
            world.remove(pods[name], grace=0)
    wait()
    return time.perf_counter() - start


def handed_on(world: World, client: Client) -> None:
    """What becomes of results that only a worker has which is told to leave."""
    until(lambda: len(client.scheduler_info(n_workers=-1)["workers"]) == N, LONG, "no workers")
    (name, pod), *_ = world.workers("coded").items()
    futures = client.map(np.square, range(100), workers=[name], pure=False)
    client.gather(futures)

    def known() -> tuple[int, int]:
        return client.run_on_scheduler(
            lambda dask_scheduler: (
                sum(task.state == "memory" for task in dask_scheduler.tasks.values()),
                sum(
                    "memory" in (t.start, t.finish) and t.finish in ("released", "waiting")
                    for t in dask_scheduler.transition_log
                    if "square" in str(t.key)
                ),
            )
        )

    world.remove(pod)
    until(
        lambda: (
            name
            not in {w["name"] for w in client.scheduler_info(n_workers=-1)["workers"].values()}
        ),
        LONG,
        "the worker stays",
    )
    held, lost = known()
    print(f"\na worker with 100 results was told to leave: {held} are held, {lost} were lost")


if __name__ == "__main__":
    main()
