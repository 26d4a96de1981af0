"""What runs on a worker: one chunk."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from distributed import get_worker
from distributed.protocol.pickle import dumps
from distributed.worker import thread_state  # type: ignore[attr-defined]

from dask_bacc.coding._typing import AnyArray
from dask_bacc.coding.arrays import copied
from dask_bacc.coding.kriging.row_sketch import sketch_rows
from dask_bacc.coding.kriging.sketch import SIZE, compact
from dask_bacc.results.result import FlatResult, Outline, flatten
from dask_bacc.worker.blocks import check_block
from dask_bacc.worker.messages import tell, tell_if_slow

#: Bytes up to which a result comes with the news that its chunk is done.
INLINE = 16 * 2**10


@dataclass(frozen=True, slots=True)
class ChunkResult:
    """What a chunk brings back."""

    outline: Outline
    #: sketches of its blocks, one for every encoded array, if they were asked for
    sketches: list[AnyArray] | None
    #: None if it stays on the worker
    result: FlatResult | None

    def __sizeof__(self) -> int:
        """Bytes of its arrays, by which workers decide what to spill and what to move."""
        sketches = [*self.outline.sketches, *(self.sketches or ())]
        held = 0 if self.result is None else self.result.nbytes
        return held + sum(int(array.nbytes) for array in sketches)

    def packed(self) -> bytes:
        """What is sent ahead; of a result that goes along, the outline is made anew."""
        # Classes of a script or a notebook are pickled by value.
        packed: bytes = dumps(
            (self.outline if self.result is None else None, compacted(self.sketches), self.result)
        )
        return packed

    @property
    def is_compact(self) -> bool:
        """Whether nothing of its sketches is lost where it is packed."""
        return all(array.size <= SIZE for array in self.sketches or ())

    @classmethod
    def unpacked(cls, ahead: bytes) -> ChunkResult:
        """The same where it has come."""
        outline, sketches, result = pickle.loads(ahead)
        return cls(outline or result.outline(), sketches, result)


def run_chunk(
    run: str,
    chunk: int,
    axes: Sequence[int] | None,
    shapes: Sequence[tuple[int, ...]],
    limit: float,
    func: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    *blocks: AnyArray,
) -> ChunkResult:
    """Say that the chunk starts and ends, run the function and check what it returns.

    The function gets copies, which it may change: a block may be another chunk's source, or serve
    later runs. A small result goes ahead with the news of the chunk's end, and need not be
    fetched. Of a result of more than `limit` bytes goes ahead what is to be known of it, so that
    it can stay where it is. The blocks are sketched if `axes` say along which of theirs rows lie.

    Raises
    ------
    RefusedError
        If a block is not what it is to be, or no result like this one can be decoded.
    ResultError
        If the result cannot be decoded. Other exceptions are the function's own.
    """
    worker = get_worker()
    news: dict[str, Any] = {"run": run, "chunk": chunk}
    tell(worker, {**news, "state": "running"})
    try:
        for number, part in enumerate(zip(blocks, shapes, strict=True)):
            check_block(part[0], f"its block of array {number}", part[1])
        sketches = None
        if axes is not None:
            sketches = [sketch_rows(*part) for part in zip(blocks, axes, strict=True)]
            # Others can be decoded better where it is known what a slow chunk has.
            tell_if_slow(worker, run, chunk, compacted(sketches))
        own = [copied(block) for block in blocks]
        if should_stop():
            raise RuntimeError("cancelled before it began")
        result = flatten(func(*own, *args, **kwargs))
        brought = ChunkResult(result.outline(), sketches, result)
        if result.nbytes > limit:
            news["ahead"] = replace(brought, result=None).packed()
        elif result.nbytes <= INLINE and brought.is_compact:
            news["ahead"] = brought.packed()
        return brought
    finally:
        # A chunk that was cancelled meanwhile frees its thread only now.
        tell(worker, {**news, "state": "done"})


def compacted(sketches: Sequence[AnyArray] | None) -> list[AnyArray] | None:
    """Sketches that are small enough for the news: the scheduler remembers those for long."""
    if sketches is None:
        return None
    return [array if array.size <= SIZE else compact(array) for array in sketches]


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
    key = getattr(thread_state, "key", None)
    if key is None:
        return False
    state = get_worker().state.tasks.get(key)
    return state is None or state.state in ("cancelled", "released")
