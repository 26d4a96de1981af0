"""What Kubernetes does by itself: owners, deployments, disruption budgets."""

from __future__ import annotations

import asyncio
import copy
import math
import uuid
from collections.abc import Callable
from typing import Any

from tests.kubernetes.world.selectors import matches
from tests.kubernetes.world.store import ApiError, Kind, Object, Store, now


def is_ready(pod: Object) -> bool:
    """Whether a pod's containers say that they are ready."""
    conditions = pod["status"].get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def is_leaving(found: Object) -> bool:
    return "deletionTimestamp" in found["metadata"]


def delete(store: Store, kind: Kind, found: Object, options: Object) -> Object:
    """Delete an object, or mark it to be deleted; pods have time to leave, unless it is forced."""
    metadata = found["metadata"]
    namespace, name = metadata.get("namespace"), metadata["name"]
    grace = 0
    if kind.plural == "pods":
        grace = options.get("gracePeriodSeconds")
        if grace is None:
            grace = found["spec"]["terminationGracePeriodSeconds"]
    if not metadata.get("finalizers") and (kind.plural != "pods" or grace == 0):
        return store.remove(kind, namespace, name)
    if is_leaving(found) and grace >= metadata["deletionGracePeriodSeconds"]:
        return found

    def mark(altered: Object) -> None:
        altered["metadata"].setdefault("deletionTimestamp", now())
        altered["metadata"]["deletionGracePeriodSeconds"] = grace

    return store.change(kind, found, mark)


def evict(store: Store, pod: Object, options: Object) -> None:
    """Delete a pod as drained nodes do: not if a disruption budget forbids it."""
    pods = store.all(store.kind("pods"), pod["metadata"]["namespace"])
    for budget in store.all(store.kind("poddisruptionbudgets"), pod["metadata"]["namespace"]):
        labels = budget["spec"]["selector"].get("matchLabels")
        if not matches(labels, pod):
            continue
        among = [other for other in pods if matches(labels, other)]
        healthy = sum(is_ready(other) and not is_leaving(other) for other in among)
        if healthy - 1 < _least(budget["spec"], len(among)):
            raise ApiError(429, "TooManyRequests", "it would violate the disruption budget")
    delete(store, store.kind("pods"), pod, options)


def _least(spec: Object, count: int) -> int:
    """Pods that must stay."""

    def number(value: Any) -> int:
        if isinstance(value, str) and value.endswith("%"):
            return math.ceil(int(value[:-1]) * count / 100)
        return int(value)

    if "minAvailable" in spec:
        return number(spec["minAvailable"])
    return count - number(spec["maxUnavailable"])


async def control(store: Store) -> None:
    """Keep up what there is to be, whenever something happens."""
    while True:
        changed = store.next_change()
        _collect_orphans(store)
        for deployment in store.all(store.kind("deployments")):
            if not is_leaving(deployment):
                _keep_up(store, deployment)
        await changed.wait()


def _collect_orphans(store: Store) -> None:
    """Delete what all owners are gone of."""
    there = {found["metadata"]["uid"] for _, found in store.everything()}
    for kind, found in store.everything():
        owners = found["metadata"].get("ownerReferences") or []
        if owners and not is_leaving(found) and all(o["uid"] not in there for o in owners):
            delete(store, kind, found, {})


def _keep_up(store: Store, deployment: Object) -> None:
    """As many pods as are wanted, and what there is to say of them."""
    pods, metadata, spec = store.kind("pods"), deployment["metadata"], deployment["spec"]
    own = [pod for pod in store.all(pods, metadata["namespace"]) if _owns(metadata, pod)]
    alive = [
        pod
        for pod in own
        if not is_leaving(pod) and pod["status"]["phase"] not in ("Failed", "Succeeded")
    ]
    for _ in range(spec["replicas"] - len(alive)):
        pod = _pod_of(deployment)
        store.put(pods, metadata["namespace"], pod["metadata"]["name"], pod)
    for pod in alive[spec["replicas"] :]:
        delete(store, pods, pod, {})
    ready = sum(map(is_ready, alive))
    available = {"type": "Available", "status": str(ready >= spec["replicas"])}
    status = {
        "observedGeneration": metadata["generation"],
        "replicas": len(alive),
        "readyReplicas": ready,
        "availableReplicas": ready,
        "conditions": [available],
    }
    store.change(store.kind("deployments"), deployment, _setting("status", status))


def _owns(owner: Object, found: Object) -> bool:
    references = found["metadata"].get("ownerReferences") or []
    return any(reference["uid"] == owner["uid"] for reference in references)


def _pod_of(deployment: Object) -> Object:
    template = copy.deepcopy(deployment["spec"]["template"])
    name, uid = deployment["metadata"]["name"], deployment["metadata"]["uid"]
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name, "uid": uid}
    metadata = {
        "name": f"{name}-{uuid.uuid4().hex[:5]}",
        "labels": template["metadata"].get("labels") or {},
        "annotations": template["metadata"].get("annotations") or {},
        "ownerReferences": [{**owner, "controller": True, "blockOwnerDeletion": True}],
    }
    spec = template["spec"]
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("terminationGracePeriodSeconds", 30)
    return {"metadata": metadata, "spec": spec, "status": {"phase": "Pending"}}


def _setting(name: str, value: Any) -> Callable[[Object], None]:
    def alter(altered: Object) -> None:
        altered[name] = value

    return alter


async def supervised(store: Store) -> None:
    """`control`, which a single mistake must not end."""
    while True:
        try:
            await control(store)
        except ApiError:
            await asyncio.sleep(0.05)
