"""The front door: what users call to encode their arrays."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any, Literal, overload

import dask
import numpy as np
from dask.array import Array
from dask.base import tokenize
from dask.typing import Key

from dask_bacc.array import CodedArray
from dask_bacc.coding import Code, get_code
from dask_bacc.coding.decode import check_choice
from dask_bacc.coding.gaps import gaps as gaps_in
from dask_bacc.collection import Gaps
from dask_bacc.graphs.encode import encode_here, encode_on_cluster
from dask_bacc.graphs.sources import (
    Source,
    check_source,
    filled_source,
    not_finite,
    number_of_blocks,
)
from dask_bacc.records.part import Part
from dask_bacc.records.report import ranges
from dask_bacc.results.labels import Label

if TYPE_CHECKING:
    from xarray import DataArray

#: What becomes of NaN.
NaN = Literal["keep", "fill"]


@overload
def encode(
    *arrays: DataArray,
    n: int | None = None,
    k: int | None = None,
    axis: int | None = None,
    dim: Hashable | None = None,
    code: str | Code | None = None,
    nan: NaN = "keep",
) -> CodedArray[DataArray]: ...


@overload
def encode(
    *arrays: Any,
    n: int | None = None,
    k: int | None = None,
    axis: int | None = None,
    code: str | Code | None = None,
    nan: NaN = "keep",
) -> CodedArray[np.ndarray[Any, Any]]: ...


def encode(
    *arrays: Any,
    n: int | None = None,
    k: int | None = None,
    axis: int | None = None,
    dim: Hashable | None = None,
    code: str | Code | None = None,
    nan: NaN = "keep",
) -> CodedArray[Any]:
    """Encode arrays into `n` coded chunks, over which functions can be mapped.

    Dask arrays are encoded on the cluster when a run or ``persist()`` asks for it; NumPy arrays
    are encoded here and now, and each chunk travels inside its task.

    Parameters
    ----------
    *arrays : dask.array.Array, numpy.ndarray or xarray.DataArray
        Arrays that share one code; a function that is mapped receives a block of each. Integers
        and booleans become float64; integers beyond 2**53, which that would round, are refused.
        Of half precision, chunks that are blocks as they stand stay so, and all others are made
        and kept as float32. Chunks along other axes are merged.
    n : int, optional
        Number of coded chunks, at least `k`: ``n - k`` of them may be late. By default `k`: the
        blocks as they stand, for exact answers of functions of any kind.
    k : int, optional
        Number of blocks, which must be equal; by default the number of chunks along the axis, so
        it is needed where no array is a dask array.
    axis : int, optional
        Axis along which the arrays are cut into blocks, by default the first.
    dim : hashable, optional
        The dimension's name, for DataArrays, instead of `axis`.
    code : str or Code, optional
        ``"systematic"``, ``"berrut"``, ``"local"``, ``"convex"``, ``"repetition"``,
        ``"lagrange"``, ``"uncoded"``, or a code object; by default the configured one
        (``bacc.code``).
    nan : {"keep", "fill"}
        What becomes of NaN. It is kept, and chunks that are mixed of several blocks are NaN
        wherever one of these is. Or blocks are filled with their own mean, and answers have NaN
        where their blocks had: in results of a block's shape in the same places, in results
        without the axis that was cut, or of another length along it, where a block has nothing
        but NaN along it. The function never sees NaN; where it looks at neighbours, those beside
        a gap see what it was filled with. For arrays of NumPy, and dask arrays of these.

    Returns
    -------
    CodedArray

    Raises
    ------
    TypeError
        For arrays that cannot be combined linearly: objects, strings, datetimes, masked arrays;
        and for both `axis` and `dim`.
    ValueError
        For unequal blocks (the nearest `k` that fits is named), a missing `k`, ``n < k``, empty
        arrays, unknown chunk sizes, unknown codes, NumPy arrays with integers beyond 2**53, and
        ``nan="fill"`` for arrays of another library.
    OverflowError
        For NumPy arrays of extended precision with numbers beyond that of doubles.

    Warns
    -----
    RuntimeWarning
        Where NumPy arrays have NaN or infinity and chunks are mixed of several blocks.

    Notes
    -----
    What only a worker sees ends a run at once with a `DecodeError`, and ``persist()`` or
    ``compute()`` with its cause: a dask array's integers beyond 2**53, and blocks that are not
    what the array's meta and chunks say (masked, objects, DataFrames, of another shape).

    Examples
    --------
    >>> import numpy as np
    >>> import dask_bacc
    >>> coded = dask_bacc.encode(np.arange(12.0), k=3, n=5)
    >>> coded
    CodedArray<Berrut(k=3, n=5, systematic=True), chunks (4,) float64>
    >>> coded.map(np.tanh).result().shape
    (12,)
    """
    if not arrays:
        raise TypeError("encode needs at least one array")
    if axis is not None and dim is not None:
        raise TypeError(f"axis={axis} and dim={dim!r} say the same thing; give one of them")
    axis = 0 if axis is None else axis
    check_choice(nan, "nan", NaN)
    labelled = _are_labelled(arrays)
    if not any(labelled):
        if dim is not None:
            raise TypeError(f"dim={dim!r} names a dimension of DataArrays; use axis for others")
        return _encode(arrays, [axis] * len(arrays), n=n, k=k, code=code, nan=nan)
    if not all(labelled):
        raise TypeError("DataArrays and plain arrays cannot be encoded together; use .data")
    from dask_bacc.dims import check_aligned, resolve_axis
    from dask_bacc.results.labelled import Labels, SourceLabels

    check_aligned(arrays)
    axes = [resolve_axis(array, dim, axis) for array in arrays]
    return _encode(
        [array.data for array in arrays],
        axes,
        n=n,
        k=k,
        code=code,
        nan=nan,
        dims=[array.dims[axis] for array, axis in zip(arrays, axes, strict=True)],
        label=Labels(tuple(map(SourceLabels.of, arrays, axes))).label,
    )


def _encode(
    arrays: Sequence[Any],
    axes: Sequence[int],
    *,
    n: int | None,
    k: int | None,
    code: str | Code | None,
    nan: NaN,
    dims: Sequence[Hashable | None] | None = None,
    label: Label | None = None,
) -> CodedArray[Any]:
    """Encode dask and NumPy arrays, each along its axis.

    Parameters
    ----------
    arrays, axes : sequences of equal length
    n, k, code, nan
        As in `encode`.
    dims : sequence of hashables, optional
        Names of the axes, if the arrays are labelled.
    label : callable, optional
        Gives the answer of a run its labels.
    """
    sources = [
        check_source(array, axis, position)
        for position, (array, axis) in enumerate(zip(arrays, axes, strict=True))
    ]
    k = number_of_blocks(sources, k)
    gaps = None
    if nan == "fill":
        gaps = _gaps(sources, k)
        sources = [filled_source(source, k) for source in sources]
    code = get_code(
        dask.config.get("bacc.code") if code is None else code,
        k,
        k if n is None else n,
        group_size=dask.config.get("bacc.group-size"),
    )
    if (code.own_blocks < 0).any():
        _warn_of_nan(sources, k)
    graph: dict[Key, Any] = {}
    parts = []
    named = zip(sources, dims or [None] * len(sources), strict=True)
    for position, (source, dim) in enumerate(named):
        token = tokenize(source.array, source.axis, code)
        name = f"coded-{token}"
        if isinstance(source.array, Array):
            graph.update(encode_on_cluster(token, source, position, code))
        else:
            graph.update(encode_here(name, source, code))
        parts.append(
            Part(
                name=name,
                shape=source.block_shape(k),
                dtype=source.dtype,
                own_dtype=source.own_dtype,
                axis=source.axis,
                library=source.library,
                dim=dim,
                integers=source.integers,
            )
        )
    return CodedArray(graph, tuple(parts), code, label, gaps=gaps)


def _gaps(sources: Sequence[Source], k: int) -> Gaps:
    """Where blocks have NaN, as far as that is known here."""
    arrays, axes = [s.array for s in sources], [s.axis for s in sources]
    if any(isinstance(array, Array) for array in arrays):
        return Gaps(blocks=_encode(arrays, axes, n=k, k=k, code="uncoded", nan="keep"))
    cut = [np.split(gaps_in(source.array), k, axis=source.axis) for source in sources]
    return Gaps([list(of_block) for of_block in zip(*cut, strict=True)])


def _warn_of_nan(sources: Sequence[Source], k: int) -> None:
    """Tell of NaN that would be everywhere in all chunks that are mixed."""
    for position, source in enumerate(sources):
        if blocks := not_finite(source, k):
            warnings.warn(
                f"array {position} has NaN or infinity in blocks {ranges(blocks)}, and chunks "
                "that are mixed of several blocks are NaN there: fill it first "
                "(numpy.nan_to_num, DataArray.fillna), or use map_blocks for functions that know "
                "what to do with it",
                RuntimeWarning,
                stacklevel=4,
            )


def _are_labelled(arrays: tuple[Any, ...]) -> list[bool]:
    # Whoever has a DataArray has imported xarray; others need not have it installed.
    xarray = sys.modules.get("xarray")
    return [xarray is not None and isinstance(array, xarray.DataArray) for array in arrays]
