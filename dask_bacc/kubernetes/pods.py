"""What runs in the pods of a cluster: scheduler, workers, and a job's own program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dask_bacc.kubernetes.clouds import Cloud

#: Ports of the scheduler, and of a worker's HTTP server.
COMM, HTTP, WORKER_HTTP = 8786, 8787, 8788
#: Where certificates are in pods.
TLS_FOLDER = "/etc/dask-tls"
#: Routes of the scheduler's HTTP server. By the first the operator asks which workers to close;
#: without it and with TLS it deletes the newest ones, whatever they hold.
ROUTES = (
    "distributed.http.scheduler.api",
    "distributed.http.scheduler.prometheus",
    "distributed.http.scheduler.json",
    "distributed.http.health",
)


@dataclass(frozen=True)
class Job:
    """What all pods of a job or cluster have in common.

    Parameters
    ----------
    name : str
    namespace : str
    image : str
    cpu, memory : str
        Of a worker, as Kubernetes has quantities.
    cloud : Cloud or None
        On whose spot machines workers run; None for any machines.
    environment : mapping
        Variables of all pods.
    tls : bool
        Whether connections are encrypted, by the certificates of a Secret.
    """

    name: str
    namespace: str
    image: str
    cpu: str
    memory: str
    cloud: Cloud | None
    environment: Mapping[str, str]
    tls: bool

    @property
    def labels(self) -> dict[str, str]:
        """What the operator marks all pods of the cluster with."""
        return {"dask.org/cluster-name": self.name}

    @property
    def scheduler(self) -> str:
        """Address of the scheduler."""
        protocol = "tls" if self.tls else "tcp"
        return f"{protocol}://{self.name}-scheduler.{self.namespace}.svc.cluster.local:{COMM}"

    def variables(self, **more: str) -> list[dict[str, Any]]:
        """Environment of a container."""
        found = dict(self.environment) | {"DASK_SCHEDULER_ADDRESS": self.scheduler} | more
        if self.tls:
            found["DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION"] = "True"
            found["DASK_DISTRIBUTED__COMM__DEFAULT_SCHEME"] = "tls"
            found["DASK_DISTRIBUTED__COMM__TLS__CA_FILE"] = f"{TLS_FOLDER}/ca.crt"
            for role in ("SCHEDULER", "WORKER", "CLIENT"):
                prefix = f"DASK_DISTRIBUTED__COMM__TLS__{role}"
                found[f"{prefix}__CERT"] = f"{TLS_FOLDER}/tls.crt"
                found[f"{prefix}__KEY"] = f"{TLS_FOLDER}/tls.key"
        return [{"name": name, "value": value} for name, value in found.items()]

    def pod(self, container: Mapping[str, Any], **spec: Any) -> dict[str, Any]:
        """A pod's spec around its only container."""
        inside = dict(container)
        if self.tls:
            inside["volumeMounts"] = [{"name": "tls", "mountPath": TLS_FOLDER, "readOnly": True}]
            spec["volumes"] = [{"name": "tls", "secret": {"secretName": f"{self.name}-tls"}}]
        return {"containers": [inside], **spec}

    def off_spot(self) -> dict[str, Any]:
        """Keeps a pod off spot machines."""
        if self.cloud is None:
            return {}
        match = {"key": self.cloud.label, "operator": "NotIn", "values": [self.cloud.value]}
        return _affinity(match)

    def on_spot(self) -> dict[str, Any]:
        """Keeps a pod on spot machines, and lets it run there."""
        if self.cloud is None:
            return {}
        label, value = self.cloud.label, self.cloud.value
        taint = {"key": label, "operator": "Equal", "value": value, "effect": "NoSchedule"}
        match = {"key": label, "operator": "In", "values": [value]}
        return {**_affinity(match), "tolerations": [taint]}


def _affinity(match: Mapping[str, Any]) -> dict[str, Any]:
    terms = {"nodeSelectorTerms": [{"matchExpressions": [dict(match)]}]}
    return {
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}
    }


def scheduler_spec(job: Job, worker_ttl: str, allowed_failures: int) -> dict[str, Any]:
    """The scheduler's pod and service, as a DaskCluster has them."""
    variables = job.variables(
        DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL=worker_ttl,
        DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES=str(allowed_failures),
        DASK_DISTRIBUTED__SCHEDULER__HTTP__ROUTES=repr(list(ROUTES)),
    )
    protocol = ["--protocol", "tls"] if job.tls else []
    container = {
        "name": "scheduler",
        "image": job.image,
        "args": ["dask", "scheduler", "--host", "0.0.0.0", *protocol],
        "env": variables,
        "ports": [
            {"name": "tcp-comm", "containerPort": COMM, "protocol": "TCP"},
            {"name": "http-dashboard", "containerPort": HTTP, "protocol": "TCP"},
        ],
        "readinessProbe": _health("http-dashboard"),
        "resources": _resources("1", "2Gi"),
    }
    priority = {"priorityClassName": f"{job.name}-scheduler"}
    return {
        "spec": job.pod(container, **priority, **job.off_spot()),
        "service": {
            "type": "ClusterIP",
            "selector": {**job.labels, "dask.org/component": "scheduler"},
            "ports": [
                {"name": name, "protocol": "TCP", "port": port, "targetPort": name}
                for name, port in (("tcp-comm", COMM), ("http-dashboard", HTTP))
            ],
        },
    }


def worker_spec(job: Job, replicas: int, threads: int, grace: int) -> dict[str, Any]:
    """The workers' pods, as a DaskCluster has them."""
    # Where the limit is, is the container's to say; workers spill before they come to it.
    limit = {"resourceFieldRef": {"resource": "limits.memory"}}
    container = {
        "name": "worker",
        "image": job.image,
        "args": [
            *("dask", "worker", "--name", "$(DASK_WORKER_NAME)"),
            *("--nthreads", str(threads), "--memory-limit", "$(MEMORY_LIMIT)"),
            # Without it the worker asks the scheduler's name, and takes 127.0.0.1 if that is not
            # known yet.
            *("--host", "$(POD_IP)", "--dashboard-address", f":{WORKER_HTTP}"),
            # Kubernetes starts containers again by itself, and sends SIGTERM to their process.
            *("--no-nanny", "--preload", "dask_bacc.worker.sigterm", "--death-timeout", "60"),
        ],
        "env": [
            {"name": "MEMORY_LIMIT", "valueFrom": limit},
            {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            *job.variables(),
        ],
        # Or a pod would count for the disruption budget before it is a worker.
        "ports": [{"name": "http", "containerPort": WORKER_HTTP, "protocol": "TCP"}],
        "readinessProbe": _health("http"),
        "resources": _resources(job.cpu, job.memory),
    }
    labels = {**job.labels, "dask.org/component": "worker"}
    spread = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": labels},
    }
    pod = job.pod(
        container,
        priorityClassName=f"{job.name}-workers",
        terminationGracePeriodSeconds=grace,
        topologySpreadConstraints=[spread],
        **job.on_spot(),
    )
    return {"replicas": replicas, "spec": pod}


def runner_spec(job: Job, command: Sequence[str]) -> dict[str, Any]:
    """The pod of a job's own program, as a DaskJob has it."""
    container = {
        "name": "job",
        "image": job.image,
        "args": list(command),
        "env": job.variables(),
        "resources": _resources("1", "2Gi"),
    }
    priority = {"priorityClassName": f"{job.name}-scheduler", "restartPolicy": "Never"}
    return {"spec": job.pod(container, **priority, **job.off_spot())}


def _health(port: str) -> dict[str, Any]:
    asked = {"port": port, "path": "/health"}
    return {"httpGet": asked, "periodSeconds": 2, "timeoutSeconds": 5}


def _resources(cpu: str, memory: str) -> dict[str, dict[str, str]]:
    # The same for both: pods that ask for less than they take are the first to be killed.
    amounts = {"cpu": cpu, "memory": memory}
    return {"requests": dict(amounts), "limits": dict(amounts)}
