"""Tuples, lists and dicts of anything, taken apart and put together again."""

from __future__ import annotations

from collections.abc import Iterator
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
    found = dict(_places(treedef, ""))
    return [found[member] for member in sorted(found)]


def _places(treedef: Any, path: str) -> Iterator[tuple[int, str]]:
    """The members, each with its path."""
    if isinstance(treedef, int):
        yield treedef, path
        return
    for key, part in treedef.items() if isinstance(treedef, dict) else enumerate(treedef):
        yield from _places(part, f"{path}[{key!r}]")


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
