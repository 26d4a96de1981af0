"""Arrays of xarray that are to be encoded: checked, and their axes found."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from operator import index

import xarray


def check_aligned(arrays: Sequence[xarray.DataArray]) -> None:
    """Refuse arrays whose labels differ along a dimension: blocks would be paired wrongly.

    Raises
    ------
    ValueError
        With what to do.
    """
    try:
        xarray.align(*arrays, join="exact", copy=False)
    except xarray.AlignmentError as error:
        raise ValueError(
            "the DataArrays have different labels along a dimension that they share; "
            f"xarray.align makes them fit, and .drop_vars or .data leaves labels aside: {error}"
        ) from error


def resolve_axis(array: xarray.DataArray, dim: Hashable | None, axis: int) -> int:
    """The axis of a dimension, or the given axis if no dimension is named.

    Raises
    ------
    ValueError
        If the array has no such dimension or axis.
    """
    if dim is None:
        if not -array.ndim <= index(axis) < array.ndim:
            raise ValueError(f"the array has dimensions {array.dims}, so no axis {axis}")
        return index(axis) % array.ndim
    if dim not in array.dims:
        raise ValueError(f"no dimension {dim!r}; the array has {array.dims}")
    return array.dims.index(dim)
