"""Labels that a function gives its results, read without xarray where nobody has imported it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, eq=False)
class OwnLabels:
    """Labels of a DataArray that a function returned."""

    dims: tuple[Hashable, ...]
    #: an `xarray.Variable` for every coordinate, but for those of multi-indexes
    coords: Mapping[Hashable, Any]
    name: Hashable
    attrs: Mapping[Any, Any]


def read_labels(value: Any) -> OwnLabels | None:
    """The labels of a DataArray or a Variable; None for anything else.

    Examples
    --------
    >>> import xarray
    >>> read_labels(xarray.DataArray([1.0], dims="time")).dims
    ('time',)
    >>> read_labels([1.0])
    """
    # Whoever has such an object has imported xarray; others need not have it installed.
    xarray = sys.modules.get("xarray")
    if xarray is None or not isinstance(value, xarray.DataArray | xarray.Variable):
        return None
    if isinstance(value, xarray.Variable):
        return OwnLabels(value.dims, {}, None, dict(value.attrs))
    coords = {
        name: coord.variable.to_base_variable().load()
        for name, coord in value.coords.items()
        if not isinstance(value.xindexes.get(name), xarray.indexes.PandasMultiIndex)
    }
    return OwnLabels(value.dims, coords, value.name, dict(value.attrs))


#: ``label(array, combine, k, axis, own)`` gives an array of the answer, joined along that axis if
#: any, its labels; `own` are those of the results, or None if the function has given none.
Label = Callable[[Any, str, int, int | None, Sequence[OwnLabels] | None], Any]
