"""What runs on a worker: one chunk."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from distributed import get_worker

from dask_bacc.cluster.structure import FlatResult, flatten
from dask_bacc.coding._typing import AnyArray

#: The one topic under which chunks say that they have started.
TOPIC = "dask-bacc"


def run_chunk(
    run: str,
    chunk: int,
    func: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    *blocks: AnyArray,
) -> FlatResult:
    """Say that the chunk has started, run the function and check what it returns.

    Raises
    ------
    ResultError
        If the result cannot be decoded. Other exceptions are the function's own.
    """
    get_worker().log_event(TOPIC, {"run": run, "chunk": chunk})
    return flatten(func(*blocks, *args, **kwargs))
