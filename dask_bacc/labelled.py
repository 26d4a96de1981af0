"""Chunks with the labels of what they are made of, for functions that want them, and back."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import xarray
from dask.utils import funcname

#: The only key of a dict that stands for a Dataset, which is no container that results may have.
DATASET = "xarray.Dataset"


@dataclass(frozen=True, eq=False)
class Skeleton:
    """Labels of a DataArray or Dataset that do not depend on where it is cut.

    Parameters
    ----------
    dim : hashable
        Along which it is cut.
    names : tuple of hashables
        Of the variables along it.
    dims : tuple of tuples of hashables
        Of each.
    attrs : tuple of dicts
        Of each.
    rest : xarray.Dataset
        What has not the dimension.
    of_array : bool
        Whether it is a DataArray's.
    """

    dim: Hashable
    names: tuple[Hashable, ...]
    dims: tuple[tuple[Hashable, ...], ...]
    attrs: tuple[dict[Any, Any], ...]
    rest: xarray.Dataset
    of_array: bool

    @classmethod
    def of(cls, source: xarray.DataArray | xarray.Dataset, dim: Hashable) -> Skeleton:
        """The labels of something that is cut along `dim`."""
        of_array = isinstance(source, xarray.DataArray)
        if isinstance(source, xarray.DataArray):
            along = {source.name: source}
            rest = source.coords.to_dataset()
        else:
            along = {name: array for name, array in source.items() if dim in array.dims}
            rest = source.drop_vars(list(along))
        return cls(
            dim=dim,
            names=tuple(along),
            dims=tuple(array.dims for array in along.values()),
            attrs=tuple(dict(array.attrs) for array in along.values()),
            rest=rest.drop_dims([dim], errors="ignore").load(),
            of_array=of_array,
        )

    def variables(
        self, source: xarray.DataArray | xarray.Dataset
    ) -> dict[Hashable, xarray.DataArray]:
        """The arrays of the source that are encoded."""
        if isinstance(source, xarray.DataArray):
            return {source.name: source}
        return {name: source[name] for name in self.names}

    def around(self, arrays: tuple[Any, ...]) -> xarray.DataArray | xarray.Dataset:
        """Chunks of the arrays, with labels."""
        if self.of_array:
            (array,), (dims,), (attrs,) = arrays, self.dims, self.attrs
            return xarray.DataArray(
                array, dims=dims, coords=self.rest.coords, name=self.names[0], attrs=attrs
            )
        variables = zip(self.names, self.dims, arrays, self.attrs, strict=True)
        return self.rest.assign({name: (dims, a, attrs) for name, dims, a, attrs in variables})


class Labelled:
    """A function of labelled blocks, as one of plain ones.

    Parameters
    ----------
    func : callable
    skeleton : Skeleton
    """

    def __init__(self, func: Callable[..., Any], skeleton: Skeleton) -> None:
        self.func = func
        self.skeleton = skeleton
        #: what tasks are called
        self.__name__ = funcname(func)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function with labels around the first arguments."""
        count = len(self.skeleton.names)
        block = self.skeleton.around(args[:count])
        return _unpacked(self.func(block, *args[count:], **kwargs))


def _unpacked(value: Any) -> Any:
    """What a function returned, with dicts for Datasets."""
    if isinstance(value, xarray.Dataset):
        return {DATASET: dict(value.items())}
    if isinstance(value, Mapping):
        return {name: _unpacked(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
        return type(value)(map(_unpacked, value))
    return value


def relabelled(value: Any, source: xarray.DataArray | xarray.Dataset) -> Any:
    """An answer with Datasets for their dicts, and encodings of the source's variables."""
    if isinstance(value, Mapping) and list(value) == [DATASET]:
        attrs = source.attrs if isinstance(source, xarray.Dataset) else {}
        made = xarray.Dataset(value[DATASET], attrs=attrs)
        for name, array in made.variables.items():
            _take_encoding(array, source, name)
        return made
    if isinstance(value, Mapping):
        return {name: relabelled(inner, source) for name, inner in value.items()}
    if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
        return type(value)(relabelled(inner, source) for inner in value)
    if isinstance(value, xarray.DataArray):
        if value.name is not None:
            _take_encoding(value.variable, source, value.name)
        for name, coord in value.coords.items():
            _take_encoding(coord.variable, source, name)
    return value


def _take_encoding(
    variable: Any, source: xarray.DataArray | xarray.Dataset, name: Hashable
) -> None:
    """How files have a variable: as they had the source's, as far as its chunks do not matter."""
    if isinstance(source, xarray.DataArray) and name == source.name:
        found: Any = source
    elif name in source.coords or (isinstance(source, xarray.Dataset) and name in source):
        found = source[name]
    else:
        return
    # Of a file's own layout; what is written next may be of another shape.
    left_out = {"chunksizes", "preferred_chunks", "chunks", "source", "original_shape", "shards"}
    variable.encoding = {k: v for k, v in found.encoding.items() if k not in left_out}


def fitted(
    answer: Any, template: xarray.DataArray | xarray.Dataset
) -> xarray.DataArray | xarray.Dataset:
    """The answer with the labels of a template.

    Raises
    ------
    ValueError
        If it has other variables, dimensions or sizes.
    """
    if isinstance(template, xarray.Dataset):
        found = answer if isinstance(answer, Mapping | xarray.Dataset) else {}
        if set(found) != set(template):
            raise ValueError(
                f"the template has variables {sorted(map(str, template))}, and the answer "
                f"{sorted(map(str, found))}"
            )
        variables = {name: fitted(found[name], template[name]) for name in template}
        return template.assign(variables)
    dims = getattr(answer, "dims", None)
    array = answer.transpose(*template.dims) if _permutes(dims, template.dims) else answer
    if (dims is not None and not _permutes(dims, template.dims)) or array.shape != template.shape:
        sizes = dict(zip(dims or template.dims, answer.shape, strict=False))
        raise ValueError(
            f"the template has dimensions {dict(template.sizes)}, and the answer {sizes}"
        )
    return template.copy(data=getattr(array, "data", array))


def _permutes(dims: Any, wanted: tuple[Hashable, ...]) -> bool:
    return dims is not None and len(dims) == len(wanted) and set(dims) == set(wanted)
