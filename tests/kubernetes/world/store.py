"""Objects of an API server, their versions, and what has happened to them."""

from __future__ import annotations

import asyncio
import copy
import datetime
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

Object = dict[str, Any]
#: What has happened that a watch can still be told of.
REMEMBERED = 20_000


class ApiError(Exception):
    """What an API server answers instead."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code, self.reason = code, reason

    def status(self) -> Object:
        """As clients get it."""
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "status": "Failure",
            "code": self.code,
            "reason": self.reason,
            "message": str(self),
        }


@dataclass(frozen=True)
class Kind:
    """A kind of objects."""

    group: str
    version: str
    plural: str
    name: str
    namespaced: bool = True
    subresources: tuple[str, ...] = ()
    #: structural, of custom resources
    schema: Object | None = field(default=None, compare=False)
    #: where custom resources have their number of replicas
    scale: Object | None = field(default=None, compare=False)

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version


@dataclass(frozen=True)
class Change:
    """Something that has happened to an object."""

    version: int
    kind: Kind
    type: str
    object: Object
    before: Object | None


def now() -> str:
    """The time, as objects have it."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Store:
    """All objects."""

    def __init__(self) -> None:
        self.version = 1000
        self.kinds: dict[tuple[str, str, str], Kind] = {}
        self.changes: list[Change] = []
        self._objects: dict[Kind, dict[tuple[str | None, str], Object]] = {}
        self._changed = asyncio.Event()

    def register(self, kind: Kind) -> None:
        """From now on there may be such objects."""
        self.kinds[kind.group, kind.version, kind.plural] = kind
        self._objects.setdefault(kind, {})

    def kind(self, plural: str) -> Kind:
        """The kind of that name."""
        return next(kind for (_, _, name), kind in self.kinds.items() if name == plural)

    def all(self, kind: Kind, namespace: str | None = None) -> list[Object]:
        """Objects of a kind."""
        found = self._objects[kind].items()
        return [o for (there, _), o in found if namespace in (None, there)]

    def everything(self) -> Iterator[tuple[Kind, Object]]:
        """Objects of all kinds."""
        for kind, objects in self._objects.items():
            for found in list(objects.values()):
                yield kind, found

    def find(self, kind: Kind, namespace: str | None, name: str) -> Object:
        """The object of that name."""
        found = self._objects[kind].get((namespace, name))
        if found is None:
            raise ApiError(404, "NotFound", f'{kind.plural} "{name}" not found')
        return found

    def has(self, kind: Kind, namespace: str | None, name: str) -> bool:
        return (namespace, name) in self._objects[kind]

    def put(self, kind: Kind, namespace: str | None, name: str, value: Object) -> Object:
        """Add an object, or replace it by another version of itself."""
        before = self._objects[kind].get((namespace, name))
        self.version += 1
        made = copy.deepcopy(value) | {"apiVersion": kind.api_version, "kind": kind.name}
        metadata = made.setdefault("metadata", {})
        metadata["name"] = name
        if namespace is not None:
            metadata["namespace"] = namespace
        if before is None:
            metadata |= {"uid": str(uuid.uuid4()), "creationTimestamp": now(), "generation": 1}
        metadata["resourceVersion"] = str(self.version)
        self._objects[kind][namespace, name] = made
        self._happened(kind, "ADDED" if before is None else "MODIFIED", made, before)
        return made

    def remove(self, kind: Kind, namespace: str | None, name: str) -> Object:
        """Forget an object."""
        gone = copy.deepcopy(self.find(kind, namespace, name))
        del self._objects[kind][namespace, name]
        self.version += 1
        gone["metadata"]["resourceVersion"] = str(self.version)
        self._happened(kind, "DELETED", gone, gone)
        return gone

    def change(self, kind: Kind, found: Object, alter: Callable[[Object], None]) -> Object:
        """Alter an object in place, so to speak."""
        altered = copy.deepcopy(found)
        alter(altered)
        if altered == found:
            return found
        return self.put(
            kind, found["metadata"].get("namespace"), found["metadata"]["name"], altered
        )

    def _happened(self, kind: Kind, what: str, value: Object, before: Object | None) -> None:
        self.changes.append(Change(self.version, kind, what, copy.deepcopy(value), before))
        del self.changes[:-REMEMBERED]
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def changes_since(self, version: int) -> list[Change]:
        """What has happened after a version, oldest first."""
        first = len(self.changes)
        while first and self.changes[first - 1].version > version:
            first -= 1
        return self.changes[first:]

    def next_change(self) -> asyncio.Event:
        """Set when something happens next."""
        return self._changed
