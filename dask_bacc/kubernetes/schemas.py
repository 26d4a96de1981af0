"""Schemas of custom resources, as an API server applies them: pruned, then validated."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

#: Where dask-kubernetes has the definitions of its resources.
CRDS = "operator/deployment/helm/dask-kubernetes-operator/crds"
#: Of every object, whatever its schema.
COMMON = ("apiVersion", "kind", "metadata")


@cache
def definitions() -> list[dict[str, Any]]:
    """The custom resource definitions that are installed with dask-kubernetes.

    Raises
    ------
    ModuleNotFoundError
        Without dask-kubernetes.
    """
    found = find_spec("dask_kubernetes")
    if found is None or found.origin is None:
        raise ModuleNotFoundError(
            "dask-kubernetes is not installed; install it with: pip install "
            "'dask-bacc[kubernetes]'",
            name="dask_kubernetes",
        )
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    paths = sorted((Path(found.origin).parent / CRDS).glob("*.yaml"))
    return [yaml.load(path.read_text(), loader) for path in paths]


def schemas() -> dict[str, dict[str, Any]]:
    """Schemas of the operator's resources, by kind."""
    return {
        definition["spec"]["names"]["kind"]: version["schema"]["openAPIV3Schema"]
        for definition in definitions()
        for version in definition["spec"]["versions"]
    }


def pruned(value: Any, schema: Mapping[str, Any], path: str = "") -> tuple[Any, list[str]]:
    """What an API server keeps of an object, with defaults, and the paths of what it drops.

    It says nothing of fields that it does not know.

    Parameters
    ----------
    value
        Of an object, or a part of one.
    schema : mapping
        Structural, as custom resource definitions have them.
    path : str
        Of the part.

    Examples
    --------
    >>> schema = {"properties": {"spec": {"properties": {"replicas": {"default": 1}}}}}
    >>> pruned({"kind": "X", "spec": {"replica": 3}}, schema)
    ({'kind': 'X', 'spec': {'replicas': 1}}, ['spec.replica'])
    """
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return copy.deepcopy(value), []
    if isinstance(value, list):
        items = schema.get("items")
        parts = [pruned(v, items or {}, f"{path}[{i}]") for i, v in enumerate(value)]
        return [kept for kept, _ in parts], [p for _, dropped in parts for p in dropped]
    if not isinstance(value, dict):
        return value, []
    properties, additional = schema.get("properties", {}), schema.get("additionalProperties")
    kept: dict[str, Any] = {}
    dropped: list[str] = []
    for name, inner in value.items():
        place = f"{path}.{name}" if path else str(name)
        below = properties.get(name, additional)
        if isinstance(below, Mapping):
            kept[name], more = pruned(inner, below, place)
            dropped += more
        elif additional is True or (not path and name in COMMON):
            kept[name] = copy.deepcopy(inner)
        else:
            dropped.append(place)
    for name, below in properties.items():
        if name not in kept and "default" in below:
            kept[name] = copy.deepcopy(below["default"])
    return kept, dropped


def relaxed(schema: Any) -> Any:
    """The schema in terms of JSON Schema, without what only Kubernetes knows."""
    if isinstance(schema, list):
        return [relaxed(inner) for inner in schema]
    if not isinstance(schema, Mapping):
        return schema
    plain = {name: relaxed(inner) for name, inner in schema.items()}
    if plain.get("x-kubernetes-int-or-string"):
        plain.pop("type", None)
    if plain.get("nullable") and "type" in plain:
        plain["type"] = [plain["type"], "null"]
    return plain
