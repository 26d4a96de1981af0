"""What runs on a worker before there is a run: looking at blocks, and trying some."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dask_bacc.coding._typing import AnyArray
from dask_bacc.coding.arrays import copied
from dask_bacc.coding.kriging.rows.sketch import sketch_rows
from dask_bacc.results.result import FlatResult, ResultSpec, flat_result


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of a function on one chunk."""

    #: that the function took
    seconds: float
    spec: ResultSpec
    #: None if it is large
    result: FlatResult | None


def look_at(axes: Sequence[int], *blocks: AnyArray) -> list[AnyArray]:
    """Sketches of a chunk of every encoded array, with the axes along which rows lie."""
    return [sketch_rows(block, axis) for block, axis in zip(blocks, axes, strict=True)]


def try_chunk(
    limit: float,
    func: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    *blocks: AnyArray,
) -> Tried:
    """Run a function on a chunk; results of more than `limit` bytes stay behind.

    Raises
    ------
    ResultError
        If the result cannot be decoded. Other exceptions are the function's own.
    """
    own = [copied(block) for block in blocks]
    begin = time.perf_counter()
    value = func(*own, *args, **kwargs)
    seconds = time.perf_counter() - begin
    result = flat_result(value, finite=False)
    return Tried(seconds, result.spec(), result if result.nbytes <= limit else None)
