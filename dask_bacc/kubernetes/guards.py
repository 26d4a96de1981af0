"""What keeps a cluster's pods from harm: priorities, disruption budgets, certificates, network."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from dask_bacc.kubernetes.pods import COMM, HTTP, Job

#: Of priority classes: workers give way to others, the scheduler to nobody of the same cluster.
WORKERS, SCHEDULER = -10, 1000
#: Names that files of a Secret for TLS have.
TLS_FILES = ("ca.crt", "tls.crt", "tls.key")


def priority_classes(job: Job) -> list[dict[str, Any]]:
    """Of the workers, and of scheduler and program, which all the others' work hangs on."""
    values = {"workers": (WORKERS, "Never"), "scheduler": (SCHEDULER, "PreemptLowerPriority")}
    return [
        {
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": {"name": f"{job.name}-{name}"},
            "value": value,
            "preemptionPolicy": policy,
            "globalDefault": False,
        }
        for name, (value, policy) in values.items()
    ]


def disruption_budgets(job: Job, workers: int, *, runs_job: bool) -> list[dict[str, Any]]:
    """So many workers stay while nodes are drained, and the scheduler and the program do.

    Parameters
    ----------
    job : Job
    workers : int
        That hold as many chunks as any answer needs.
    runs_job : bool
        Whether there is a program.
    """
    limits: dict[str, dict[str, int]] = {
        "worker": {"minAvailable": workers},
        "scheduler": {"maxUnavailable": 0},
    }
    if runs_job:
        limits["job-runner"] = {"maxUnavailable": 0}
    return [
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": _metadata(job, component),
            "spec": {
                **limit,
                "selector": {"matchLabels": {**job.labels, "dask.org/component": component}},
            },
        }
        for component, limit in limits.items()
    ]


def network_policy(
    job: Job, operator_namespace: str, clients: Mapping[str, str] | None
) -> dict[str, Any]:
    """Only the cluster's own pods reach each other, and the operator and clients the scheduler.

    The scheduler runs what anybody sends it, and its HTTP server, by which the operator scales,
    asks for no password.
    """
    ports = [{"protocol": "TCP", "port": port} for port in (COMM, HTTP)]
    name = {"kubernetes.io/metadata.name": operator_namespace}
    others: list[dict[str, Any]] = [{"namespaceSelector": {"matchLabels": name}}]
    if clients:
        others.append({"podSelector": {"matchLabels": dict(clients)}})
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": _metadata(job, "pods"),
        "spec": {
            "podSelector": {"matchLabels": job.labels},
            "policyTypes": ["Ingress"],
            "ingress": [
                {"from": [{"podSelector": {"matchLabels": job.labels}}]},
                {"from": others, "ports": ports},
            ],
        },
    }


def tls_secret(job: Job, files: Mapping[str, bytes]) -> dict[str, Any]:
    """The certificates that scheduler, workers and clients have in common."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": _metadata(job, "tls"),
        "type": "Opaque",
        "data": {name: base64.b64encode(files[name]).decode() for name in TLS_FILES},
    }


def _metadata(job: Job, suffix: str) -> dict[str, Any]:
    return {"name": f"{job.name}-{suffix}", "namespace": job.namespace, "labels": job.labels}
