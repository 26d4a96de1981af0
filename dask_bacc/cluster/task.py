"""What runs on a worker: one chunk."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from distributed import get_worker

from dask_bacc.cluster.structure import FlatResult, flatten
from dask_bacc.coding._typing import AnyArray
from dask_bacc.coding.kriging.sketch import sketch

#: The one topic under which chunks say that they have started.
TOPIC = "dask-bacc"


@dataclass(frozen=True)
class ChunkResult:
    """What a chunk brings back."""

    result: FlatResult
    #: sketches of its blocks, one for every encoded array, if they were asked for
    sketches: list[AnyArray] | None


def run_chunk(
    run: str,
    chunk: int,
    sketched: bool,
    func: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    *blocks: AnyArray,
) -> ChunkResult:
    """Say that the chunk has started, run the function and check what it returns.

    The function gets copies, which it may change: a block may be another chunk's source, or serve
    later runs.

    Raises
    ------
    ResultError
        If the result cannot be decoded. Other exceptions are the function's own.
    """
    get_worker().log_event(TOPIC, {"run": run, "chunk": chunk})
    sketches = [sketch(block) for block in blocks] if sketched else None
    own = [block.copy() for block in blocks]
    return ChunkResult(flatten(func(*own, *args, **kwargs)), sketches)
