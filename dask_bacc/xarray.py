"""Encoding labelled arrays, and labelling the answers of runs over them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from operator import index
from typing import Any

import xarray

from dask_bacc.coding._typing import AnyArray


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


@dataclass(frozen=True, eq=False)
class Labels:
    """Labels of an encoded DataArray, put on answers where they still fit."""

    dims: tuple[Hashable, ...]
    sizes: dict[Hashable, int]
    coords: xarray.Coordinates
    name: Hashable
    attrs: dict[Any, Any]
    #: dimension along which the array was cut
    dim: Hashable

    @classmethod
    def of(cls, array: xarray.DataArray, axis: int) -> Labels:
        """The labels of an array that is cut along `axis`."""
        return cls(
            dims=array.dims,
            sizes=dict(array.sizes),
            # A deep copy: changing a coordinate later must not change the labels of answers.
            coords=array.coords.copy(deep=True),
            name=array.name,
            attrs=dict(array.attrs),
            dim=array.dims[axis],
        )

    def dress(self, answer: AnyArray, combine: str, k: int) -> AnyArray | xarray.DataArray:
        """The answer as a DataArray where the function kept the block's shape, else as it is."""
        block = {**self.sizes, self.dim: self.sizes[self.dim] // k}
        dims = self.dims
        coords = self.coords
        if combine == "concat":
            expected = tuple(self.sizes.values())
        else:
            # Blocks lie on top of each other, so coordinates along the cut no longer apply.
            coords = coords.drop_vars([n for n, c in coords.items() if self.dim in c.dims])
            expected = tuple(block.values())
            if combine == "stack":
                dims = (self._new_dim("block"), *dims)
                expected = (k, *expected)
        if answer.shape != expected:
            return answer
        return xarray.DataArray(answer, coords, dims, name=self.name, attrs=self.attrs)

    def _new_dim(self, name: str) -> str:
        """The name, or the name with as many underscores as make it new."""
        while name in self.dims or name in self.coords:
            name += "_"
        return name


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
