"""What an API server makes of objects before it keeps them: kinds, defaults, schemas."""

from __future__ import annotations

from typing import Any

from jsonschema import Draft7Validator

from dask_bacc.kubernetes.schemas import pruned, relaxed
from tests.kubernetes.world.store import ApiError, Kind, Object, Store, now

BUILT_IN = (
    Kind("", "v1", "namespaces", "Namespace", False, ("status",)),
    Kind("", "v1", "nodes", "Node", False, ("status",)),
    Kind("", "v1", "pods", "Pod", True, ("status", "log", "portforward", "eviction")),
    Kind("", "v1", "services", "Service", True, ("status",)),
    Kind("", "v1", "events", "Event"),
    Kind("", "v1", "secrets", "Secret"),
    Kind("", "v1", "configmaps", "ConfigMap"),
    Kind("", "v1", "serviceaccounts", "ServiceAccount"),
    Kind("apps", "v1", "deployments", "Deployment", True, ("status", "scale")),
    Kind("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", True, ("status",)),
    Kind("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy"),
    Kind("scheduling.k8s.io", "v1", "priorityclasses", "PriorityClass", False),
    Kind(
        "apiextensions.k8s.io",
        "v1",
        "customresourcedefinitions",
        "CustomResourceDefinition",
        False,
        ("status",),
    ),
)
#: Addresses of services begin with this.
NETWORK = "10.244.77"
#: Fields that only the server sets.
SERVERS_OWN = ("uid", "resourceVersion", "creationTimestamp", "deletionTimestamp", "managedFields")


class Admission:
    """Looks at what clients send.

    Parameters
    ----------
    store : Store
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self._addresses = iter(range(201, 255))
        for kind in BUILT_IN:
            store.register(kind)
        namespaces = store.kind("namespaces")
        for name in ("default", "dask-operator"):
            store.put(namespaces, None, name, {"status": {"phase": "Active"}})

    def admit(self, kind: Kind, value: Object) -> Object:
        """A new object, as it is kept."""
        made = self.checked(kind, value)
        for field in SERVERS_OWN:
            made["metadata"].pop(field, None)
        spec = made.get("spec", {})
        match kind.plural:
            case "services":
                spec.setdefault("type", "ClusterIP")
                spec.setdefault("clusterIP", f"{NETWORK}.{next(self._addresses)}")
                # Without it the operator never says that the cluster runs.
                made["status"] = {"loadBalancer": {}}
            case "pods":
                spec.setdefault("restartPolicy", "Always")
                spec.setdefault("terminationGracePeriodSeconds", 30)
                made["status"] = {"phase": "Pending"}
            case "deployments":
                spec.setdefault("replicas", 1)
                made["status"] = {}
            case "customresourcedefinitions":
                made["status"] = self._define(spec)
            case _ if "status" in kind.subresources:
                made.pop("status", None)
        return made

    def checked(self, kind: Kind, value: Object) -> Object:
        """An object without what its schema does not know; refused if it does not fit."""
        if kind.schema is None:
            return value
        kept, _ = pruned(_without_nulls(value), kind.schema)
        errors = [
            f"{'.'.join(map(str, error.absolute_path))}: {error.message}"
            for error in Draft7Validator(relaxed(kind.schema)).iter_errors(kept)
        ]
        if errors:
            name = value.get("metadata", {}).get("name")
            raise ApiError(422, "Invalid", f'{kind.name} "{name}" is invalid: {errors}')
        return kept

    def _define(self, spec: Object) -> Object:
        """There is a new kind."""
        names = spec["names"]
        for version in spec["versions"]:
            below = version.get("subresources") or {}
            kind = Kind(
                spec["group"],
                version["name"],
                names["plural"],
                names["kind"],
                spec["scope"] == "Namespaced",
                tuple(below),
                version["schema"]["openAPIV3Schema"],
                below.get("scale"),
            )
            self.store.register(kind)
        time = {"status": "True", "lastTransitionTime": now()}
        conditions = [{"type": what, **time} for what in ("Established", "NamesAccepted")]
        return {"conditions": conditions, "acceptedNames": names}


def _without_nulls(value: Any) -> Any:
    """Nulls are as good as nothing, but in metadata, where clients look for them."""
    if isinstance(value, dict):
        return {
            name: inner if name == "metadata" else _without_nulls(inner)
            for name, inner in value.items()
            if inner is not None
        }
    if isinstance(value, list):
        return [_without_nulls(inner) for inner in value]
    return value
