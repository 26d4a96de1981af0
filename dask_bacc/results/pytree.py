"""Tuples, lists and dicts of anything, taken apart and put together again."""

from __future__ import annotations

from typing import Any


def flatten(value: Any) -> tuple[Any, list[Any]]:
    """The containers, with the position of its member in place of every member, and the members.

    Members of dicts are numbered by their keys: chunks may fill their dicts in different orders.

    Examples
    --------
    >>> flatten({"b": 1.5, "a": [1, "x"]})
    ({'b': 2, 'a': [0, 1]}, [1, 'x', 1.5])
    """
    members: list[Any] = []
    return _walk(value, members), members


def unflatten(treedef: Any, members: list[Any]) -> Any:
    """The containers with these members.

    Examples
    --------
    >>> unflatten({"a": (1, 0)}, ["x", "y"])
    {'a': ('y', 'x')}
    """
    if isinstance(treedef, int):
        return members[treedef]
    if isinstance(treedef, dict):
        return {key: unflatten(part, members) for key, part in treedef.items()}
    return _like(treedef, [unflatten(part, members) for part in treedef])


def paths(treedef: Any) -> list[str]:
    """Where every member is, as one would write it.

    Examples
    --------
    >>> paths({"b": 2, "a": [0, 1]})
    ["['a'][0]", "['a'][1]", "['b']"]
    """
    if isinstance(treedef, int):
        return [""]
    items = treedef.items() if isinstance(treedef, dict) else enumerate(treedef)
    found = {
        member: f"[{key!r}]{path}"
        for key, part in items
        for member, path in zip(_members(part), paths(part), strict=True)
    }
    return [found[member] for member in sorted(found)]


def _members(treedef: Any) -> list[int]:
    """Positions of the members, ascending."""
    if isinstance(treedef, int):
        return [treedef]
    parts = treedef.values() if isinstance(treedef, dict) else treedef
    return sorted(member for part in parts for member in _members(part))


def _walk(value: Any, members: list[Any]) -> Any:
    if isinstance(value, dict):
        walked = {key: _walk(value[key], members) for key in sorted(value, key=repr)}
        return {key: walked[key] for key in value}
    if isinstance(value, tuple | list):
        return _like(value, [_walk(part, members) for part in value])
    members.append(value)
    return len(members) - 1


def _like(container: Any, parts: list[Any]) -> Any:
    """A list or tuple of the same kind, named tuples included."""
    kind = type(container)
    return kind(*parts) if hasattr(container, "_fields") else kind(parts)
