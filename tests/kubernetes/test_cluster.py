"""Coded runs on a cluster whose pods are lost, told to leave, cut off, killed and scaled."""

from __future__ import annotations

import contextlib

import cloudpickle
import numpy as np
import pytest
from dask_kubernetes.operator import KubeCluster
from distributed import Client
from distributed.core import Status

import dask_bacc
from benchmarks.processes.cluster import LONG, until
from dask_bacc.kubernetes import manifests
from tests.kubernetes import work
from tests.kubernetes.work import K, N, X, greedy, held, linear, noted, rough
from tests.kubernetes.world.controllers import is_ready

pytestmark = [pytest.mark.kubernetes, pytest.mark.filterwarnings("ignore::ResourceWarning")]
# Pods have this package, and not its tests.
cloudpickle.register_pickle_by_value(work)


@pytest.fixture(scope="module")
def cluster(world):
    made = manifests("coded", image="local", n=N, k=K, memory="1Gi", worker_ttl="15s")
    world.apply(made[:-1])
    cluster = KubeCluster(
        custom_cluster_spec=made[-1],
        namespace="default",
        quiet=True,
        # Outside of the cluster, where it would look for the scheduler's name for twenty seconds.
        port_forward_cluster_ip=True,
        resource_timeout=LONG,
    )
    yield cluster
    try:
        cluster.close()
    except KeyError:
        # Once its scheduler is another one, it is told of workers that it has never known.
        cluster.status = Status.closed
    world.delete(made)


@pytest.fixture
def client(cluster):
    """Whatever happened before, all workers are there, and nothing of it is left."""
    # Not the default one: if its scheduler is lost, dask would go on to look for it.
    with Client(cluster, set_as_default=False) as client:
        client.wait_for_workers(N, timeout=LONG)
        until(lambda: len(client.scheduler_info(n_workers=-1)["workers"]) == N, LONG, "too many")
        yield client
        until(lambda: not client.futures, LONG, "futures are left")


@pytest.fixture
def run(client, tmp_path):
    """A run all of whose chunks are at the gate, each on a worker of its own."""

    def begin(func, **options):
        coded = dask_bacc.encode(X, k=K, n=N)
        run = coded.map(held, tmp_path, func, client=client, **options)
        until(lambda: all(c.worker for c in run.report.chunks), LONG, "chunks did not begin")
        return run

    yield begin
    (tmp_path / "gate").touch()
    (tmp_path / "end").touch()


def chunks_of(client, run, names):
    """Chunks that are on these workers."""
    workers = client.scheduler_info(n_workers=-1)["workers"]
    return [c for c, r in enumerate(run.report.chunks) if workers[r.worker]["name"] in names]


def names_gone(client, names):
    known = {w["name"] for w in client.scheduler_info(n_workers=-1)["workers"].values()}
    return known.isdisjoint(names)


def lose(client, run, tmp_path, names):
    """Results of chunks on these workers will not come any more."""
    lost = chunks_of(client, run, names)
    for chunk in lost:
        (tmp_path / f"lost-{chunk}").touch()
    return lost


def test_as_many_pods_are_killed_as_the_code_does_without(world, client, run, tmp_path):
    going = run(linear, rtol=1e-6)
    pods = dict(list(world.workers("coded").items())[: N - K])
    lost = lose(client, going, tmp_path, pods)
    for pod in pods.values():
        world.remove(pod, grace=0)
    (tmp_path / "gate").touch()
    np.testing.assert_allclose(going.result(timeout=LONG), linear(X), rtol=1e-9)
    assert sorted(going.report.missing) == sorted(lost)
    assert all(going.report.chunks[c].attempt == 0 for c in going.report.returned)


def test_more_pods_are_killed_than_the_code_does_without(world, client, run, tmp_path):
    going = run(rough)
    pods = list(world.workers("coded").values())[: N - K + 2]
    for pod in pods:
        world.remove(pod, grace=0)
    (tmp_path / "gate").touch()
    np.testing.assert_array_equal(going.result(timeout=LONG), rough(X))


def test_a_pod_is_told_to_leave(world, client, run, tmp_path):
    """What it has is handed on, and the run hears of it before it is gone."""
    (name, pod), *_ = world.workers("coded").items()
    results = client.map(noted, range(4), folder=tmp_path, workers=[name])
    client.gather(results)
    going = run(rough)
    (lost,) = lose(client, going, tmp_path, [name])
    address = going.report.chunks[lost].worker
    world.remove(pod)
    until(lambda: "leave" in going.report.troubles.get(address, ""), LONG, "nobody hears of it")
    (tmp_path / "gate").touch()
    until(lambda: names_gone(client, [name]), LONG, "the worker stays")
    assert client.gather(results) == [0, 1, 4, 9]
    assert all(path.read_text() == "computed\n" for path in tmp_path.glob("noted-*"))
    (tmp_path / "end").touch()
    np.testing.assert_array_equal(going.result(timeout=LONG), rough(X))
    del results


def test_nodes_are_drained_as_far_as_the_code_allows(world, client):
    until(lambda: sum(map(is_ready, world.workers("coded").values())) == N, LONG, "not ready")
    workers = [*world.workers("coded").values()]
    refused = [not world.evict(pod) for pod in workers[: N - K + 2]]
    assert refused == [False] * (N - K) + [True] * 2
    assert not world.evict(world.all("Pod", cluster_name="coded", component="scheduler")[0])


def test_a_node_is_cut_off(world, client, run, tmp_path):
    going = run(linear, rtol=1e-6)
    scheduler = world.all("Pod", cluster_name="coded", component="scheduler")[0]
    workers = world.workers("coded")
    nodes = {pod["spec"]["nodeName"] for pod in workers.values()}
    node = sorted(nodes - {scheduler["spec"]["nodeName"]})[0]
    names = [n for n, pod in workers.items() if pod["spec"]["nodeName"] == node]
    world.node(node, "cut")
    try:
        (tmp_path / "gate").touch()
        np.testing.assert_allclose(going.result(timeout=LONG), linear(X), rtol=1e-9)
        until(lambda: names_gone(client, names), LONG, "workers that are cut off stay")
    finally:
        world.node(node, "connect")


def restarts(world):
    """How often the containers of pods were started again, by the pods' names."""
    return {
        name: pod["status"]["containerStatuses"][0]["restartCount"]
        for name, pod in world.workers("coded").items()
    }


def test_a_pod_is_killed_for_its_memory(world, client, tmp_path):
    before = restarts(world)
    coded = dask_bacc.encode(X, k=K, n=N)
    run = coded.map(greedy, tmp_path, rough, client=client)
    np.testing.assert_array_equal(run.result(timeout=LONG), rough(X))
    # Others may be on their way out since the node was cut off.
    greedy_pod = (tmp_path / "greedy").read_text()
    again = before.get(greedy_pod, 0) + 1
    until(
        lambda: restarts(world).get(greedy_pod) == again, LONG, "its container was not restarted"
    )


def test_the_cluster_is_scaled_down_and_up(world, cluster, client, run, tmp_path):
    going = run(rough)
    cluster.scale(N - 2)
    until(lambda: len(world.workers("coded")) == N - 2, LONG, "pods stay")
    cluster.scale(N)
    (tmp_path / "gate").touch()
    np.testing.assert_array_equal(going.result(timeout=LONG), rough(X))


def test_the_operator_is_started_anew(world, cluster, client, run, tmp_path):
    going = run(rough)
    world.operator("start")
    (tmp_path / "gate").touch()
    np.testing.assert_array_equal(going.result(timeout=LONG), rough(X))
    cluster.scale(N - 1)
    until(lambda: len(world.workers("coded")) == N - 1, LONG, "pods stay")
    cluster.scale(N)


def test_the_scheduler_is_lost(world, cluster, run, client, tmp_path):
    """One clear error; of that run nothing is left on the workers."""
    going = run(rough)
    world.remove(world.all("Pod", cluster_name="coded", component="scheduler")[0], grace=0)
    until(lambda: client.status != "running", LONG, "the scheduler stays")
    (tmp_path / "gate").touch()
    with pytest.raises(dask_bacc.DecodeError):
        going.result(timeout=LONG)
    with contextlib.suppress(OSError):
        client.close()
