"""Results as flat lists of arrays: an array, or tuples, lists and dicts of arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dask_bacc.cluster.errors import ResultError
from dask_bacc.coding._typing import AnyArray
from dask_bacc.coding.arrays import all_finite, as_array, library, nbytes, numpy_dtype
from dask_bacc.coding.kriging.sketch import sketch

#: Outputs of a leaf of which its sketch is made. Kriging weighs functions by how many outputs they
#: explain, and more than this tell it nothing new.
OUTPUTS = 1021


@dataclass(frozen=True, slots=True)
class FlatResult:
    """A result taken apart."""

    #: the arrays
    leaves: list[AnyArray]
    #: the containers, with the position of its leaf in place of every array
    skeleton: Any

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return sum(map(nbytes, self.leaves))

    def outline(self) -> Outline:
        """What decoding needs to know of it."""
        return Outline(
            self.skeleton,
            tuple(leaf.shape for leaf in self.leaves),
            tuple(map(numpy_dtype, self.leaves)),
            tuple(map(library, self.leaves)),
            [sketch(leaf, OUTPUTS) for leaf in self.leaves],
        )


@dataclass(frozen=True, slots=True)
class Outline:
    """What decoding needs to know of a result whose arrays may be elsewhere."""

    #: as in `FlatResult`
    skeleton: Any
    #: shape of every leaf
    shapes: tuple[tuple[int, ...], ...]
    #: dtype of every leaf, NumPy's even if the array is not
    dtypes: tuple[np.dtype[np.generic], ...]
    #: library of every leaf; see `dask_bacc.coding.arrays.library`
    libraries: tuple[str, ...]
    #: sketch of every leaf: random linear combinations of its outputs, which share the outputs'
    #: covariance over blocks
    sketches: list[AnyArray]

    def matches(self, other: Outline) -> bool:
        """Whether they are alike but for dtypes, as those of all chunks must be."""
        return (
            bool(self.skeleton == other.skeleton)
            and self.shapes == other.shapes
            and self.libraries == other.libraries
        )

    def __str__(self) -> str:
        leaves = zip(self.libraries, self.shapes, strict=True)
        return str(rebuild(self.skeleton, [_Described(*leaf) for leaf in leaves]))


def flatten(value: Any) -> FlatResult:
    """Take a result apart and check that it can be decoded.

    Raises
    ------
    ResultError
        If a leaf is not an array of numbers, is masked, or has a NaN or an infinity.

    Examples
    --------
    >>> flat = flatten({"b": 1.5, "a": [1, 2]})
    >>> flat.skeleton, flat.leaves
    ({'b': 2, 'a': [0, 1]}, [array(1), array(2), array(1.5)])
    """
    leaves: list[AnyArray] = []
    return FlatResult(leaves, _walk(value, leaves))


def rebuild(skeleton: Any, leaves: list[Any]) -> Any:
    """The result with these leaves.

    Examples
    --------
    >>> rebuild({"a": (1, 0)}, ["x", "y"])
    {'a': ('y', 'x')}
    """
    if isinstance(skeleton, int):
        return leaves[skeleton]
    if isinstance(skeleton, dict):
        return {key: rebuild(part, leaves) for key, part in skeleton.items()}
    return _like(skeleton, [rebuild(part, leaves) for part in skeleton])


def _walk(value: Any, leaves: list[AnyArray]) -> Any:
    if isinstance(value, dict):
        # Chunks may fill their dicts in different orders; the leaves' order must not follow.
        walked = {key: _walk(value[key], leaves) for key in sorted(value, key=repr)}
        return {key: walked[key] for key in value}
    if isinstance(value, tuple | list):
        return _like(value, [_walk(part, leaves) for part in value])
    leaves.append(_checked(value))
    return len(leaves) - 1


def _like(container: Any, parts: list[Any]) -> Any:
    """A list or tuple of the same kind, named tuples included."""
    kind = type(container)
    return kind(*parts) if hasattr(container, "_fields") else kind(parts)


def _checked(value: Any) -> AnyArray:
    if isinstance(value, np.ma.MaskedArray):
        raise ResultError("a function must not return masked arrays; fill the masked values")
    if isinstance(value, Mapping):
        raise ResultError(
            "a function must return an array of numbers, or a tuple, list or dict of them, "
            f"not {type(value).__name__}; return a dict of its arrays"
        )
    if hasattr(value, "dims"):
        # An xarray object's data may be another library's, which NumPy cannot read.
        value = getattr(value, "data", value)
    array = as_array(value)
    if numpy_dtype(array).kind not in "fciub":
        raise ResultError(
            "a function must return an array of numbers, or a tuple, list or dict of them, "
            f"not {type(value).__name__} of dtype {array.dtype}"
        )
    if not all_finite(array):
        raise ResultError(f"result of shape {array.shape} has NaN or infinity")
    return array


@dataclass(frozen=True, slots=True)
class _Described:
    """Prints as an array's library and shape inside the containers of a result."""

    library: str
    shape: tuple[int, ...]

    def __repr__(self) -> str:
        kind = "array" if self.library == "numpy" else f"{self.library} array"
        return f"{kind}{self.shape}"
