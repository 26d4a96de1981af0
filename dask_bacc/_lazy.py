"""Names of a package whose modules are imported when somebody asks for one of them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any


def attached(
    package: str, places: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """A package's ``__getattr__`` and ``__dir__``, as PEP 562 has them.

    Parameters
    ----------
    package : str
    places : mapping of str to sequence of str
        Names by the modules in which they are; those of ``""`` are modules themselves.

    Examples
    --------
    >>> get, _ = attached("json", {"decoder": ("JSONDecodeError",)})
    >>> get("JSONDecodeError")
    <class 'json.decoder.JSONDecodeError'>
    """
    place_of = {name: place for place, names in places.items() for name in names}

    def get(name: str) -> Any:
        if name not in place_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        if not (place := place_of[name]):
            return import_module(f"{package}.{name}")
        value = getattr(import_module(f"{package}.{place}"), name)
        # Who asks again does not come here.
        setattr(sys.modules[package], name, value)
        return value

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *place_of})

    return get, names
