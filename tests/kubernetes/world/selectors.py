"""Which objects are asked for."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

Wanted = Callable[[Mapping[str, Any]], bool]

_SET = re.compile(r"(?P<key>\S+)\s+(?P<how>in|notin)\s+\((?P<values>[^)]*)\)")


def by_labels(selector: str | None) -> Wanted:
    """Objects with these labels, such as ``a=b,c!=d,e in (f, g),!h``."""
    terms = [_label_term(term) for term in _split(selector or "")]
    return lambda found: all(term(found.get("metadata", {}).get("labels") or {}) for term in terms)


def by_fields(selector: str | None) -> Wanted:
    """Objects with these values in fields, such as ``metadata.name=x``."""
    terms = []
    for term in filter(None, (selector or "").split(",")):
        path, unequal, value = _equality(term)
        terms.append((path.split("."), unequal, value))
    return lambda found: all(
        (str(dig(found, path) or "") == value) != unequal for path, unequal, value in terms
    )


def matches(labels: Mapping[str, str] | None, found: Mapping[str, Any]) -> bool:
    """Whether an object has all these labels, of which there must be one."""
    own = found["metadata"].get("labels") or {}
    return bool(labels) and all(own.get(name) == value for name, value in (labels or {}).items())


def dig(found: Any, path: list[str]) -> Any:
    """What is at a path in an object; None if there is nothing."""
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def _split(selector: str) -> list[str]:
    """At commas outside of parentheses."""
    return [term.strip() for term in re.split(r",(?![^(]*\))", selector) if term.strip()]


def _equality(term: str) -> tuple[str, bool, str]:
    unequal = "!=" in term
    key, _, value = term.replace("!=", "=").replace("==", "=").partition("=")
    return key.strip(), unequal, value.strip()


def _label_term(term: str) -> Callable[[Mapping[str, str]], bool]:
    if found := _SET.fullmatch(term):
        values = {value.strip() for value in found["values"].split(",")}
        key, among = found["key"], found["how"] == "in"
        return lambda labels: (labels.get(key) in values) == among
    if "=" in term:
        key, unequal, value = _equality(term)
        return lambda labels: (labels.get(key) == value) != unequal
    if term.startswith("!"):
        return lambda labels: term[1:] not in labels
    return lambda labels: term in labels
