"""Labels of the answers of runs, by xarray: a function's own, and those of what was encoded."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import xarray

from dask_bacc.coding._typing import AnyArray
from dask_bacc.results.labels import OwnLabels


@dataclass(frozen=True, eq=False)
class SourceLabels:
    """Labels of an encoded DataArray."""

    dims: tuple[Hashable, ...]
    sizes: dict[Hashable, int]
    coords: xarray.Coordinates
    name: Hashable
    attrs: dict[Any, Any]
    #: along which the array was cut
    axis: int

    @classmethod
    def of(cls, array: xarray.DataArray, axis: int) -> SourceLabels:
        """The labels of an array that is cut along `axis`."""
        return cls(
            dims=array.dims,
            sizes=dict(array.sizes),
            # A deep copy: changing a coordinate later must not change the labels of answers.
            coords=array.coords.copy(deep=True),
            name=array.name,
            attrs=dict(array.attrs),
            axis=axis,
        )

    @property
    def dim(self) -> Hashable:
        """Dimension along which the array was cut."""
        return self.dims[self.axis]

    def block_shape(self, k: int) -> tuple[int, ...]:
        """Shape of one of `k` blocks."""
        return tuple(n // k if d == self.dim else n for d, n in self.sizes.items())


@dataclass(frozen=True, eq=False)
class Labels:
    """Puts labels on answers: a function's own, and those of what was encoded where they fit."""

    sources: tuple[SourceLabels, ...] = ()

    def label(
        self,
        answer: AnyArray,
        combine: str,
        k: int,
        axis: int | None,
        own: Sequence[OwnLabels] | None,
    ) -> AnyArray | xarray.DataArray:
        """The answer as a DataArray, if the function returned one or kept the shape of a block.

        Parameters
        ----------
        answer : array
        combine : str
        k : int
        axis : int or None
            Along which it was joined.
        own : sequence of OwnLabels, optional
            What the function gave to the results, of which stays what they agree on.
        """
        if own is not None:
            return self._with_own(answer, combine, axis, own)
        sizes = list(answer.shape)
        if axis is not None:
            sizes[axis] //= k
        shape = tuple(sizes[1:] if combine == "stack" else sizes)
        for source in self.sources:
            if source.block_shape(k) == shape and axis in (None, source.axis):
                dims, name, attrs = source.dims, source.name, source.attrs
                return self._labelled(answer, combine, axis, dims, {}, name, attrs)
        return answer

    def _with_own(
        self, answer: AnyArray, combine: str, axis: int | None, own: Sequence[OwnLabels]
    ) -> xarray.DataArray:
        dims = own[0].dims
        joined = None if axis is None else dims[axis]
        # Along the axis that is joined, a block's labels are not those of the answer.
        found = {
            name: variable if all(_has(o, name, variable) for o in own) else None
            for name, variable in own[0].coords.items()
            if joined not in variable.dims
        }
        name = own[0].name if all(o.name == own[0].name for o in own) else None
        attrs = _agreed([o.attrs for o in own])
        return self._labelled(answer, combine, axis, dims, found, name, attrs)

    def _labelled(
        self,
        answer: AnyArray,
        combine: str,
        axis: int | None,
        dims: tuple[Hashable, ...],
        own: Mapping[Hashable, Any],
        name: Hashable,
        attrs: Mapping[Any, Any],
    ) -> xarray.DataArray:
        """With these dimensions of a result and these coordinates, None for those to leave out."""
        joined = None if axis is None else dims[axis]
        if combine == "stack":
            taken = {
                *dims,
                *own,
                *(n for source in self.sources for n in (*source.sizes, *source.coords)),
            }
            dims = (_new_name("block", taken), *dims)
        array = xarray.DataArray(answer, dims=dims, name=name, attrs=dict(attrs))
        for source in self.sources:
            # Blocks that lie on top of each other have no coordinates along the cut.
            fitting = {
                n: c
                for n, c in source.coords.items()
                if (source.dim == joined or source.dim not in c.dims)
                and all(array.sizes.get(d) == size for d, size in c.sizes.items())
            }
            left_out = [
                n for n in source.coords if n not in fitting or n in own or n in array.coords
            ]
            array = array.assign_coords(source.coords.drop_vars(left_out))
        return array.assign_coords({n: c for n, c in own.items() if c is not None})


def _has(own: OwnLabels, name: Hashable, variable: Any) -> bool:
    return name in own.coords and bool(variable.identical(own.coords[name]))


def _agreed(attrs: Sequence[Mapping[Any, Any]]) -> dict[Any, Any]:
    """What is the same in all of them."""
    empty = [xarray.Dataset(attrs=dict(one)) for one in attrs]
    return dict(xarray.merge(empty, combine_attrs="drop_conflicts").attrs)


def _new_name(name: str, taken: Collection[Hashable]) -> str:
    """The name, or the name with as many underscores as make it new."""
    while name in taken:
        name += "_"
    return name
