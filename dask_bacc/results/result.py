"""Results as short lists of arrays: an array, or tuples, lists and dicts of arrays.

The arrays that a user has put into containers are members. Those of one shape are decoded
together, as one leaf with the members along its first axis: what a run costs does not grow with
the number of members.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dask_bacc.coding._typing import AnyArray
from dask_bacc.coding.arrays import (
    all_finite,
    as_array,
    exceeds_double,
    has_wide_integers,
    is_foreign,
    library,
    nbytes,
    numpy_dtype,
    some_values,
    without_nan,
)
from dask_bacc.coding.kriging.sketch import SIZE, sketch, sketch_each
from dask_bacc.records.errors import RefusedError, ResultError
from dask_bacc.results.joining import Joining
from dask_bacc.results.labels import OwnLabels, read_labels
from dask_bacc.results.pytree import flatten, paths, unflatten

#: Outputs of a leaf of which its sketch is made. Kriging weighs functions by how many outputs they
#: explain, and more than this tell it nothing new.
OUTPUTS = 1021

#: Outputs in the sketch of one of several members: primes, as in `sketch`.
_LENGTHS = (1, 2, 3, 5, 7, 13, 31, 61, 127, 251, 509)

#: Members of a leaf that are sketched apart; of more, the scale of each matters less.
_APART = SIZE

#: Characters of a layout in a message, and members of a leaf that are named.
_LONG, _FEW = 200, 3


@dataclass(frozen=True, slots=True)
class Leaf:
    """Members that are decoded together."""

    library: str
    #: of every member
    shape: tuple[int, ...]
    #: dimensions of every member; None where they have no names
    dims: tuple[Hashable, ...] | None
    #: positions of the members among all
    members: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the arrays of a result belong; the same in all chunks of a run."""

    #: the containers, with the position of its member in place of every array
    treedef: Any
    leaves: tuple[Leaf, ...]

    def names(self) -> list[str]:
        """Where the members of every leaf are: the first few of them."""
        places = paths(self.treedef)
        return [
            ", ".join(places[m] for m in leaf.members[:_FEW])
            + ", ..." * (len(leaf.members) > _FEW)
            for leaf in self.leaves
        ]

    def __str__(self) -> str:
        members = {m: _Described(leaf) for leaf in self.leaves for m in leaf.members}
        text = str(unflatten(self.treedef, [members[m] for m in range(len(members))]))
        if len(text) <= _LONG:
            return text
        return f"{text[:_LONG]}... ({len(members)} arrays in all)"


@dataclass(frozen=True, slots=True)
class FlatResult:
    """A result taken apart."""

    layout: Layout
    #: one array for every leaf, its members along the first axis
    leaves: list[AnyArray]
    #: dtype of every member, NumPy's even if the array is not
    dtypes: tuple[np.dtype[np.generic], ...]
    #: of the members that have any
    labels: Mapping[int, OwnLabels]
    #: whether it has neither NaN nor infinity
    finite: bool = True
    #: the result itself, where nothing is to be computed with it
    whole: Any = None
    #: its bytes, about
    whole_nbytes: int = 0

    @classmethod
    def opaque(cls, value: Any, size: int) -> FlatResult:
        """A result of any kind, with nothing to compute with but whether it is there.

        Parameters
        ----------
        value : object
        size : int
            Its bytes, about.
        """
        there = flat_result(0.0)
        return replace(there, whole=value, whole_nbytes=size)

    def value(self) -> Any:
        """What the function returned, its arrays without labels."""
        if self.whole is not None:
            return self.whole
        members = {
            member: array[place, ...]
            for leaf, array in zip(self.layout.leaves, self.leaves, strict=True)
            for place, member in enumerate(leaf.members)
        }
        return unflatten(self.layout.treedef, [members[m] for m in range(len(members))])

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return self.whole_nbytes + sum(map(nbytes, self.leaves))

    def spec(self) -> ResultSpec:
        """What decoding needs to know of it."""
        leaves = self.leaves if self.finite else [without_nan(leaf) for leaf in self.leaves]
        sketches = [_sketch(leaf) for leaf in leaves]
        samples = [
            None if array.size == math.prod(leaf.shape) else some_values(leaf)
            for leaf, array in zip(leaves, sketches, strict=True)
        ]
        return ResultSpec(self.layout, self.dtypes, sketches, samples, self.finite)


@dataclass(frozen=True, slots=True)
class ResultSpec:
    """What decoding needs to know of a result whose arrays may be elsewhere."""

    layout: Layout
    #: as in `FlatResult`
    dtypes: tuple[np.dtype[np.generic], ...]
    #: for every leaf, random linear combinations of its outputs, which share the outputs'
    #: covariance over blocks; a row for each member, or one for all
    sketches: list[AnyArray]
    #: some numbers of every leaf as they are; None where its sketch has them all
    samples: list[AnyArray | None]
    #: whether the result has neither NaN nor infinity, which are zero in sketches and samples
    finite: bool = True

    def matches(self, other: ResultSpec) -> bool:
        """Whether they are alike but for dtypes, as those of all chunks must be."""
        return self.layout == other.layout

    def __str__(self) -> str:
        return str(self.layout)


def flat_result(value: Any, *, finite: bool = True) -> FlatResult:
    """Take a result apart and check that it can be decoded.

    Which arrays make a leaf depends on their shapes and labels alone, so that chunks agree.

    Parameters
    ----------
    value : object
        What the function returned.
    finite : bool
        Whether it has to be.

    Raises
    ------
    RefusedError
        If a member is not an array of numbers, is masked, or has numbers that double precision
        cannot tell apart or hold.
    ResultError
        If a member has a NaN or an infinity and has to be finite.

    Examples
    --------
    >>> flat = flat_result({"b": 1.5, "a": [1, np.zeros(2)]})
    >>> flat.layout.treedef, flat.leaves
    ({'b': 2, 'a': [0, 1]}, [array([1. , 1.5]), array([[0., 0.]])])
    """
    treedef, members = flatten(value)
    groups = defaultdict[Hashable, list[int]](list)
    arrays, labels = [], {}
    for member, found in enumerate(members):
        own = read_labels(found)
        if own is not None:
            labels[member] = own
        array = _checked(found, own)
        arrays.append(array)
        # What is on a device need not be copied there to be put together.
        group = member if is_foreign(array) else (array.shape, None if own is None else own.dims)
        groups[group].append(member)
    leaves, stacked, is_finite = [], [], True
    for positions in groups.values():
        first = positions[0]
        dims = labels[first].dims if first in labels else None
        leaf = Leaf(library(arrays[first]), arrays[first].shape, dims, tuple(positions))
        leaves.append(leaf)
        stacked.append(_together([arrays[member] for member in positions]))
        is_finite = is_finite and all_finite(stacked[-1])
        if finite and not is_finite:
            raise ResultError(f"result of shape {leaf.shape} has NaN or infinity")
    dtypes = tuple(map(numpy_dtype, arrays))
    return FlatResult(Layout(treedef, tuple(leaves)), stacked, dtypes, labels, is_finite)


def join_axes(layout: Layout, joining: Joining) -> list[int | None]:
    """The axis along which each leaf is concatenated, as `Joining.axis_of`.

    Raises
    ------
    ValueError
        If there is no such axis, or it is not clear which.
    """
    return [joining.axis_of(leaf.shape, leaf.dims) for leaf in layout.leaves]


def _together(arrays: Sequence[AnyArray]) -> AnyArray:
    """The arrays along a new first axis, without a copy if there is but one."""
    if len(arrays) == 1:
        return arrays[0][None, ...]
    # Dtypes among thousands are few.
    dtype = np.result_type(*{array.dtype for array in arrays})
    stacked = np.empty((len(arrays), *arrays[0].shape), dtype)
    for place, array in enumerate(arrays):
        stacked[place] = array
    return stacked


def _sketch(leaf: AnyArray) -> AnyArray:
    """``(members, length)`` sketches, or ``(1, length)`` of all members together."""
    count = leaf.shape[0]
    if count == 1 or count > _APART:
        return sketch(leaf, OUTPUTS)[None]
    rows = leaf.reshape(count, -1)
    if rows.size <= OUTPUTS:
        return sketch_each(rows, OUTPUTS)
    return sketch_each(rows, max(n for n in _LENGTHS if n == 1 or n * count <= OUTPUTS))


def _checked(value: Any, own: OwnLabels | None) -> AnyArray:
    # An xarray object's data may be another library's, which NumPy cannot read.
    data = value if own is None else value.data
    if isinstance(data, np.ma.MaskedArray):
        raise RefusedError("a function must not return masked arrays; fill the masked values")
    kind = type(value).__name__
    wanted = "a function must return an array of numbers, or a tuple, list or dict of them, not"
    if isinstance(value, Mapping):
        raise RefusedError(f"{wanted} {kind}; return a dict of its arrays")
    array = as_array(data)
    dtype = numpy_dtype(array)
    if has_wide_integers(array) or (dtype.kind == "O" and isinstance(value, int)):
        raise RefusedError(
            "a function must not return integers beyond 2**53, which decoding would round (got "
            f"{kind} of dtype {array.dtype}); return them as float64 if rounding is all right, or "
            "split them into smaller ones"
        )
    if dtype.kind not in "fciub":
        raise RefusedError(f"{wanted} {kind} of dtype {array.dtype}")
    if exceeds_double(array):
        raise RefusedError(
            f"a function must not return {array.dtype} numbers beyond double precision's range, "
            f"{np.finfo(np.float64).max:.2g}; scale them down, or return them as float64"
        )
    return array


@dataclass(frozen=True, slots=True)
class _Described:
    """Prints as an array's library and shape inside the containers of a result."""

    leaf: Leaf

    def __repr__(self) -> str:
        leaf = self.leaf
        kind = "array" if leaf.library == "numpy" else f"{leaf.library} array"
        if leaf.dims is None:
            return f"{kind}{leaf.shape}"
        return f"{kind}({', '.join(map('{}: {}'.format, leaf.dims, leaf.shape))})"
