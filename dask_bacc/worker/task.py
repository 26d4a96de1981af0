"""What runs on a worker: one chunk."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from dask.sizeof import sizeof

from dask_bacc.coding._typing import AnyArray
from dask_bacc.coding.arrays import copied
from dask_bacc.coding.kriging.rows.sketch import sketch_rows
from dask_bacc.engine.worker import get_worker, is_wanted
from dask_bacc.results.result import FlatResult, flat_result
from dask_bacc.worker.blocks import check_block
from dask_bacc.worker.brought import ChunkResult, compacted
from dask_bacc.worker.messages import Message, batcher

#: What a chunk may return: finite numbers; any numbers, where NaN and infinity are a block's own;
#: or anything that pickles.
Accepts = Literal["finite", "numbers", "anything"]

#: Bytes up to which a result comes with the message that its chunk is done.
INLINE = 16 * 2**10


def run_chunk(
    run: str,
    chunk: int,
    attempt: int,
    topic: str,
    axes: Sequence[int] | None,
    shapes: Sequence[tuple[int, ...]] | None,
    limit: float,
    accepts: Accepts,
    func: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    *blocks: AnyArray,
) -> ChunkResult:
    """Say that the chunk starts and ends, run the function and check what it returns.

    The function gets copies, which it may change: a block may be another chunk's source, or serve
    later runs. A small result comes with the message of the chunk's end, and need not be fetched.
    With a result of more than `limit` bytes comes what is to be known of it, so that it can stay
    where it is. What it may be is what the chunk `accepts`. Blocks are sketched where `axes` say
    along which of theirs rows lie. Without `shapes` they are whatever the function is made of, and
    neither looked at nor copied.

    Raises
    ------
    RefusedError
        If a block is not what it is to be, or no result like this one can be decoded.
    ResultError
        If the result cannot be decoded. Other exceptions are the function's own.
    """
    messages = batcher(get_worker(), topic)
    messages.add(Message(run, chunk, "running", attempt=attempt))
    payload = None
    try:
        if shapes is not None:
            for number, part in enumerate(zip(blocks, shapes, strict=True)):
                check_block(part[0], f"its block of array {number}", part[1])
        sketches = None
        if axes is not None:
            sketches = [sketch_rows(*part) for part in zip(blocks, axes, strict=True)]
            # Others can be decoded better where it is known what a slow chunk has.
            messages.add_if_slow(run, chunk, attempt, compacted(sketches))
        own = list(blocks) if shapes is None else [copied(block) for block in blocks]
        if should_stop():
            raise RuntimeError("cancelled before it began")
        value = func(*own, *args, **kwargs)
        if accepts == "anything":
            result = FlatResult.opaque(value, sizeof(value))
        else:
            result = flat_result(value, finite=accepts == "finite")
        brought = ChunkResult(result.spec(), sketches, result)
        if result.nbytes > limit:
            payload = replace(brought, result=None).packed()
        elif result.nbytes <= INLINE and brought.is_compact:
            payload = brought.packed()
        return brought
    finally:
        # A chunk that was cancelled meanwhile frees its thread only now.
        messages.add(Message(run, chunk, "done", payload, attempt=attempt))


def should_stop() -> bool:
    """Whether the result of the calling task is no longer wanted.

    Ask from time to time in a long function that is mapped over chunks, and return or raise if so:
    what was cancelled keeps its worker's thread until it returns. Asking takes less than a
    microsecond and no network. False outside of tasks.

    Examples
    --------
    >>> def f(block):
    ...     for step in range(1000):
    ...         if should_stop():
    ...             raise RuntimeError("cancelled")
    ...         block = block - 0.1 * block
    ...     return block
    >>> should_stop()
    False
    """
    return not is_wanted()
