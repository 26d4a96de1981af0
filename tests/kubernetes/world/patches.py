"""Ways in which clients change objects."""

from __future__ import annotations

import copy
from typing import Any

import jsonpatch

from tests.kubernetes.world.store import ApiError, Object

#: By what entries of lists are told apart in strategic merge patches.
KEYS = {
    "conditions": "type",
    "containers": "name",
    "containerStatuses": "name",
    "env": "name",
    "ownerReferences": "uid",
    "ports": "containerPort",
    "volumes": "name",
}


def patched(found: Object, patch: Any, content_type: str) -> Object:
    """An object, changed in the way that the type of the request's content says."""
    match content_type:
        case "application/json-patch+json":
            try:
                return jsonpatch.apply_patch(copy.deepcopy(found), patch)
            except jsonpatch.JsonPatchException as error:
                raise ApiError(422, "Invalid", str(error)) from error
        case "application/strategic-merge-patch+json":
            return merged(found, patch, strategic=True)
        case "application/merge-patch+json" | "application/apply-patch+yaml" | "application/json":
            return merged(found, patch)
    raise ApiError(415, "UnsupportedMediaType", content_type)


def merged(found: Any, patch: Any, *, strategic: bool = False) -> Any:
    """RFC 7386; strategic merge patches also merge lists whose entries have names."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = dict(found) if isinstance(found, dict) else {}
    for name, value in patch.items():
        before = result.get(name)
        if value is None:
            result.pop(name, None)
        elif strategic and name == "finalizers":
            result[name] = list(dict.fromkeys([*(before or []), *value]))
        elif strategic and isinstance(value, list) and name in KEYS and isinstance(before, list):
            entries = {entry.get(KEYS[name]): entry for entry in before}
            for entry in value:
                own = entry.get(KEYS[name])
                entries[own] = merged(entries.get(own), entry, strategic=True)
            result[name] = list(entries.values())
        else:
            result[name] = merged(before, value, strategic=strategic)
    return result
