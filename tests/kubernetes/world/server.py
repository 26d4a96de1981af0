"""The API server's requests: what kinds there are, and objects read and written."""

from __future__ import annotations

import copy
import secrets
from collections.abc import Callable
from typing import Any, NamedTuple

import yaml
from aiohttp import web

from tests.kubernetes.world.admission import Admission
from tests.kubernetes.world.controllers import delete, evict
from tests.kubernetes.world.patches import patched
from tests.kubernetes.world.selectors import by_fields, by_labels, dig
from tests.kubernetes.world.store import ApiError, Kind, Object, Store
from tests.kubernetes.world.streams import forward_port, watch

VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
#: What changes of an object cannot change.
FIXED = (
    "uid",
    "creationTimestamp",
    "generation",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
)


class Place(NamedTuple):
    """What a request is about."""

    kind: Kind
    namespace: str | None
    #: of one object; None for all
    name: str | None
    subresource: str | None


class Server:
    """Answers requests for objects.

    Parameters
    ----------
    store : Store
    log_of : callable
        Gives what a pod has said, by its namespace and name.
    """

    def __init__(self, store: Store, log_of: Callable[[str, str], str]) -> None:
        self.store, self._log_of = store, log_of
        self._admission = Admission(store)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer a request."""
        try:
            return await self._route(request)
        except ApiError as error:
            return web.json_response(error.status(), status=error.code)

    async def _route(self, request: web.Request) -> web.StreamResponse:
        parts = [part for part in request.path.split("/") if part]
        match parts:
            case ["version"]:
                return web.json_response({"major": "1", "minor": "33", "gitVersion": "v1.33.1"})
            case ["healthz"]:
                return web.Response(text="ok")
            case ["api"]:
                return web.json_response({"kind": "APIVersions", "versions": ["v1"]})
            case ["apis"]:
                groups = [self._group(group) for group in self._groups() if group]
                return web.json_response({"kind": "APIGroupList", "groups": groups})
            case ["apis", group]:
                return web.json_response({"kind": "APIGroup", **self._group(group)})
            case ["api", version, *rest]:
                return await self._of_group(request, "", version, rest)
            case ["apis", group, version, *rest]:
                return await self._of_group(request, group, version, rest)
        raise ApiError(404, "NotFound", "the server could not find the requested resource")

    def _groups(self) -> dict[str, list[str]]:
        """Groups of kinds and their versions."""
        found: dict[str, list[str]] = {}
        for group, version, _ in self.store.kinds:
            if version not in found.setdefault(group, []):
                found[group].append(version)
        return found

    def _group(self, group: str) -> Object:
        versions = [
            {"groupVersion": f"{group}/{version}", "version": version}
            for version in self._groups().get(group, [])
        ]
        if not versions:
            raise ApiError(404, "NotFound", f"there is no group {group}")
        return {"name": group, "versions": versions, "preferredVersion": versions[0]}

    async def _of_group(
        self, request: web.Request, group: str, version: str, rest: list[str]
    ) -> web.StreamResponse:
        if not rest:
            return self._resources(group, version)
        namespace = None
        if rest[0] == "namespaces" and len(rest) > 2 and rest[2] != "status":
            namespace, rest = rest[1], rest[2:]
        plural, name, sub = (*rest, None, None)[:3]
        kind = self.store.kinds.get((group, version, str(plural)))
        if kind is None:
            raise ApiError(404, "NotFound", "the server could not find the requested resource")
        if request.method == "GET":
            return await self._read(request, Place(kind, namespace, name, sub))
        return await self._write(request, Place(kind, namespace, name, sub))

    def _resources(self, group: str, version: str) -> web.Response:
        """The kinds of a group."""
        found: list[Object] = []
        for (own, of, plural), kind in self.store.kinds.items():
            if (own, of) != (group, version):
                continue
            found += [
                {
                    "name": name,
                    "singularName": kind.name.lower(),
                    "namespaced": kind.namespaced,
                    "kind": "Scale" if name.endswith("/scale") else kind.name,
                    "verbs": VERBS,
                }
                for name in (plural, *(f"{plural}/{sub}" for sub in kind.subresources))
            ]
        title = f"{group}/{version}" if group else version
        return web.json_response(
            {"kind": "APIResourceList", "groupVersion": title, "resources": found}
        )

    async def _read(self, request: web.Request, place: Place) -> web.StreamResponse:
        kind, namespace, name, sub = place
        store = self.store
        if request.query.get("watch") in ("true", "1"):
            return await watch(request, store, kind, namespace, name)
        if name is None:
            labels = by_labels(request.query.get("labelSelector"))
            fields = by_fields(request.query.get("fieldSelector"))
            items = [o for o in store.all(kind, namespace) if labels(o) and fields(o)]
            return web.json_response(
                {
                    "kind": f"{kind.name}List",
                    "apiVersion": kind.api_version,
                    "metadata": {"resourceVersion": str(store.version)},
                    "items": items,
                }
            )
        found = store.find(kind, namespace, name)
        match sub:
            case "log":
                return web.Response(text=self._log_of(str(namespace), name))
            case "portforward":
                return await forward_port(request, found)
            case "scale":
                return web.json_response(_scale_of(kind, found))
        return web.json_response(found)

    async def _write(self, request: web.Request, place: Place) -> web.StreamResponse:
        kind, namespace, name, sub = place
        store, body = self.store, await request.read()
        data = yaml.safe_load(body) if body else {}
        if request.method == "POST" and sub == "portforward":
            return await forward_port(request, store.find(kind, namespace, str(name)))
        if request.method == "POST" and sub == "eviction":
            evict(store, store.find(kind, namespace, str(name)), data.get("deleteOptions") or {})
            return web.json_response({"kind": "Status", "status": "Success"}, status=201)
        if request.method == "POST":
            return web.json_response(self._create(kind, namespace, data), status=201)
        if request.method == "DELETE":
            return self._delete(request, kind, namespace, name, data)
        applies = request.content_type == "application/apply-patch+yaml"
        if applies and not store.has(kind, namespace, str(name)):
            return web.json_response(self._create(kind, namespace, data), status=201)
        found = store.find(kind, namespace, str(name))
        before = _scale_of(kind, found) if sub == "scale" else found
        replaced = request.method == "PUT"
        new = data if replaced else patched(before, data, request.content_type)
        self._check_version(data, found)
        if sub == "scale":
            scaled = copy.deepcopy(found)
            *way, last = _scale_path(kind, "specReplicasPath")
            inner = dig(scaled, way)
            inner[last] = new["spec"]["replicas"]
            return web.json_response(_scale_of(kind, self._update(kind, found, scaled, None)))
        return web.json_response(self._update(kind, found, copy.deepcopy(new), sub))

    def _check_version(self, data: Any, found: Object) -> None:
        wanted = (
            data.get("metadata", {}).get("resourceVersion") if isinstance(data, dict) else None
        )
        if wanted not in (None, found["metadata"]["resourceVersion"]):
            raise ApiError(409, "Conflict", "the object has been modified")

    def _create(self, kind: Kind, namespace: str | None, data: Object) -> Object:
        metadata = data.setdefault("metadata", {})
        if "name" not in metadata and "generateName" in metadata:
            metadata["name"] = metadata["generateName"] + secrets.token_hex(3)
        name = metadata.get("name")
        if not name:
            raise ApiError(422, "Invalid", "metadata.name: Required value")
        where = (namespace or metadata.get("namespace") or "default") if kind.namespaced else None
        if self.store.has(kind, where, name):
            raise ApiError(409, "AlreadyExists", f'{kind.plural} "{name}" already exists')
        return self.store.put(kind, where, name, self._admission.admit(kind, data))

    def _update(self, kind: Kind, found: Object, new: Object, sub: str | None) -> Object:
        """Another version of an object; its status only by the subresource, where there is one."""
        if sub == "status":
            new = copy.deepcopy(found) | {"status": new.get("status", {})}
        elif "status" in kind.subresources:
            new.pop("status", None)
            if "status" in found:
                new["status"] = copy.deepcopy(found["status"])
        own, metadata = found["metadata"], new.setdefault("metadata", {})
        for field in FIXED:
            metadata.pop(field, None)
        metadata |= {field: own[field] for field in FIXED if field in own}
        metadata["resourceVersion"] = own["resourceVersion"]
        new = self._admission.checked(kind, new) | {
            "apiVersion": found["apiVersion"],
            "kind": found["kind"],
        }
        # What changes nothing is no event, or the operator would talk to itself for ever.
        if new == found:
            return found
        if new.get("spec") != found.get("spec"):
            metadata["generation"] = own["generation"] + 1
        made = self.store.put(kind, own.get("namespace"), own["name"], new)
        over = "deletionTimestamp" in own and not metadata.get("finalizers")
        if over and kind.plural != "pods":
            self.store.remove(kind, own.get("namespace"), own["name"])
        return made

    def _delete(
        self,
        request: web.Request,
        kind: Kind,
        namespace: str | None,
        name: str | None,
        data: Object,
    ) -> web.Response:
        options = dict(data or {})
        if "gracePeriodSeconds" in request.query:
            options.setdefault("gracePeriodSeconds", int(request.query["gracePeriodSeconds"]))
        if name is not None:
            found = self.store.find(kind, namespace, name)
            return web.json_response(delete(self.store, kind, found, options))
        wanted = by_labels(request.query.get("labelSelector"))
        for found in self.store.all(kind, namespace):
            if wanted(found):
                delete(self.store, kind, found, options)
        return web.json_response({"kind": "Status", "status": "Success"})


def _scale_path(kind: Kind, which: str) -> list[str]:
    paths = kind.scale or {
        "specReplicasPath": ".spec.replicas",
        "statusReplicasPath": ".status.replicas",
    }
    return str(paths[which]).strip(".").split(".")


def _scale_of(kind: Kind, found: Object) -> Object:
    """The number of replicas, as a resource of its own."""
    spec, status = (
        dig(found, _scale_path(kind, which)) or 0
        for which in ("specReplicasPath", "statusReplicasPath")
    )
    metadata = {
        name: found["metadata"][name] for name in ("name", "namespace", "uid", "resourceVersion")
    }
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": metadata,
        "spec": {"replicas": spec},
        "status": {"replicas": status},
    }
