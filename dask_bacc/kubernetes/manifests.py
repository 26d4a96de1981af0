"""Manifests of a coded job on Kubernetes, for the operator of dask-kubernetes."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from dask_bacc.kubernetes.clouds import CLOUDS
from dask_bacc.kubernetes.guards import (
    TLS_FILES,
    disruption_budgets,
    network_policy,
    priority_classes,
    tls_secret,
)
from dask_bacc.kubernetes.pods import Job, runner_spec, scheduler_spec, worker_spec

#: The operator's own kinds.
VERSION = "kubernetes.dask.org/v1"
#: Names that leave room for what the operator appends.
NAME = re.compile(r"[a-z]([-a-z0-9]{0,30}[a-z0-9])?")
#: As Kubernetes has quantities.
QUANTITY = re.compile(r"[0-9]+(\.[0-9]+)?(m|[kKMGT]i?)?")


def manifests(
    name: str,
    *,
    image: str,
    n: int,
    k: int,
    command: Sequence[str] = (),
    namespace: str = "default",
    cloud: str | None = None,
    cpu: str = "1",
    memory: str = "4Gi",
    threads: int = 1,
    grace: int | None = None,
    worker_ttl: str = "30s",
    allowed_failures: int = 10,
    most: int | None = None,
    tls: Mapping[str, bytes] | None = None,
    environment: Mapping[str, str] | None = None,
    clients: Mapping[str, str] | None = None,
    operator_namespace: str = "dask-operator",
) -> list[dict[str, Any]]:
    """What to apply for a coded job, or for a cluster that waits for clients.

    Workers may be spot machines: the code does without ``n - k`` of its chunks, and what a worker
    has when it is told to leave is handed on. Scheduler and program are kept off them.

    Parameters
    ----------
    name : str
        Of the cluster, and of the job.
    image : str
        With this package, at the same versions as the client's.
    n, k : int
        Chunks and blocks of the code. Workers have a thread for each chunk; as many as are needed
        for `k` chunks stay while nodes are drained.
    command : sequence of str
        The job's program and its arguments, which finds the scheduler in ``Client()``. Without
        one, there is a cluster and no job.
    namespace : str
    cloud : {"gke", "eks", "aks"}, optional
        On whose spot machines workers run; by default on any machines.
    cpu, memory : str
        Of a worker, such as ``"2"`` and ``"8Gi"``.
    threads : int
        Of a worker.
    grace : int, optional
        Seconds from SIGTERM to SIGKILL; by default what the cloud leaves, or 30.
    worker_ttl : str
        For how long a worker may be silent before it counts as gone.
    allowed_failures : int
        Workers that may die with a task before it counts as failed. On spot machines that says
        little of the task.
    most : int, optional
        Workers up to which a cluster grows under load; it shrinks to those for `n` chunks. Not for
        jobs, whose number of workers is known.
    tls : mapping of str to bytes, optional
        ``"ca.crt"``, ``"tls.crt"`` and ``"tls.key"``, in PEM; by default nothing is encrypted.
    environment : mapping, optional
        Variables of all pods.
    clients : mapping, optional
        Labels of pods in the namespace that may connect to the scheduler.
    operator_namespace : str
        Where the operator runs.

    Returns
    -------
    list of dict
        Priority classes, a Secret if there is TLS, a network policy, disruption budgets, and a
        DaskJob or DaskCluster, perhaps with its DaskAutoscaler, in this order.

    Raises
    ------
    ValueError
        If something cannot be, whatever the cluster.

    Examples
    --------
    >>> made = manifests("grid", image="registry.example/grid:1", n=12, k=8, cloud="gke",
    ...                  command=["python", "job.py"])
    >>> [manifest["kind"] for manifest in made][-2:]
    ['PodDisruptionBudget', 'DaskJob']
    >>> made[-1]["spec"]["cluster"]["spec"]["worker"]["replicas"]
    12
    """
    _check(name, cloud, {"cpu": cpu, "memory": memory}, n, k, threads)
    workers, needed = math.ceil(n / threads), math.ceil(k / threads)
    if most is not None and (command or most < workers):
        raise ValueError(
            f"most is for clusters without a command, and at least the {workers} workers for "
            f"n={n} chunks; got most={most}" + (" with a command" if command else "")
        )
    if tls is not None and (lacking := [file for file in TLS_FILES if file not in tls]):
        raise ValueError(f"tls must have {', '.join(TLS_FILES)}; {', '.join(lacking)} is missing")
    on = None if cloud is None else CLOUDS[cloud]
    job = Job(name, namespace, image, cpu, memory, on, environment or {}, tls is not None)
    seconds = grace if grace is not None else 30 if on is None else on.notice
    cluster = {
        "worker": worker_spec(job, workers, threads, seconds),
        "scheduler": scheduler_spec(job, worker_ttl, allowed_failures),
    }
    return [
        *priority_classes(job),
        *([] if tls is None else [tls_secret(job, tls)]),
        network_policy(job, operator_namespace, clients),
        *disruption_budgets(job, needed, runs_job=bool(command)),
        *_of_operator(job, cluster, command, (workers, most)),
    ]


def _of_operator(
    job: Job, cluster: dict[str, Any], command: Sequence[str], size: tuple[int, int | None]
) -> list[dict[str, Any]]:
    """What the operator makes pods of."""
    metadata = {"name": job.name, "namespace": job.namespace, "labels": job.labels}
    top = {"apiVersion": VERSION, "metadata": metadata}
    if command:
        spec = {"job": runner_spec(job, command), "cluster": {"spec": cluster}}
        return [{**top, "kind": "DaskJob", "spec": spec}]
    made: list[dict[str, Any]] = [{**top, "kind": "DaskCluster", "spec": cluster}]
    least, most = size
    if most is not None:
        limits = {"cluster": job.name, "minimum": least, "maximum": most}
        made.append({**top, "kind": "DaskAutoscaler", "spec": limits})
    return made


def _check(
    name: str, cloud: str | None, quantities: Mapping[str, str], n: int, k: int, threads: int
) -> None:
    if NAME.fullmatch(name) is None:
        raise ValueError(
            "name must have up to 32 small letters, digits and dashes, begin with a letter and "
            f"not end in a dash, got {name!r}"
        )
    if cloud is not None and cloud not in CLOUDS:
        raise ValueError(f"cloud must be one of {', '.join(CLOUDS)} or None, got {cloud!r}")
    for what, value in quantities.items():
        if not isinstance(value, str) or QUANTITY.fullmatch(value) is None:
            raise ValueError(f'{what} must be a quantity such as "2" or "8Gi", got {value!r}')
    if not 1 <= k <= n:
        raise ValueError(f"k must be from 1 to n, got k={k} and n={n}")
    if threads < 1:
        raise ValueError(f"threads must be at least 1, got {threads}")
