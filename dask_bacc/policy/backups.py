"""What to launch in place of chunks that are late: pure functions of records."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np

from dask_bacc.coding import Code
from dask_bacc.records.chunk import ChunkRecord


def parity_for(
    code: Code, records: Sequence[ChunkRecord], late: Collection[int], enough: int
) -> list[int]:
    """The parity chunks to launch now, when what has returned does not do.

    One for every block that will not come by itself, less those on their way; and if nothing else
    is on its way, as many as are missing from `enough`, one at least. Of the chunks that are left,
    those come first that have most of the missing blocks in them.

    Parameters
    ----------
    code : Code
    records : sequence of ChunkRecord
    late : collection of int
        Chunks that nobody waits for any more.
    enough : int
        Results that are needed at least.

    Examples
    --------
    >>> from dask_bacc import coding
    >>> here, slow = ChunkRecord("returned"), ChunkRecord("running")
    >>> records = [here, here, here, slow, ChunkRecord("spare"), ChunkRecord("spare")]
    >>> parity_for(coding.Local(4, 6), records, {3}, enough=4)
    [5]
    """
    spares = _spares(records)
    if not spares:
        return []
    coming = coming_without(records, late)
    own = code.own_blocks
    lost = _lost(code, coming)
    wanted = len(lost) - sum(own[chunk] < 0 for chunk in coming)
    if all(records[chunk].state == "returned" for chunk in coming):
        wanted = max(wanted, enough - len(coming), 1)
    return _ranked(code, spares, lost)[: max(wanted, 0)]


def _spares(records: Sequence[ChunkRecord]) -> list[int]:
    return [chunk for chunk, record in enumerate(records) if record.state == "spare"]


def coming_without(records: Sequence[ChunkRecord], late: Collection[int]) -> set[int]:
    """The chunks that are in or still come, if those that are late do not."""
    return {
        chunk
        for chunk, record in enumerate(records)
        if record.state == "returned" or (record.is_open and chunk not in late)
    }


def _lost(code: Code, coming: Collection[int]) -> list[int]:
    """Blocks that will not come by themselves."""
    own = code.own_blocks
    there = {int(own[chunk]) for chunk in coming}
    return [block for block in range(code.k) if block not in there]


def _ranked(code: Code, spares: Sequence[int], lost: Sequence[int]) -> list[int]:
    """Parity chunks in the order in which they serve these blocks best."""
    left, missing, ranked = list(spares), list(lost), list[int]()
    while left:
        weights = np.abs(code.generator[left][:, missing])
        best = int(np.argmax(weights.sum(axis=1)))
        if missing:
            if not weights[best].any():
                break  # no chunk that is left has anything of the missing blocks
            # One parity chunk stands in for one block, whichever it has most of.
            del missing[int(np.argmax(weights[best]))]
        ranked.append(left.pop(best))
    return ranked


@dataclass(frozen=True)
class Backups:
    """What to launch: parity chunks, and chunks that are run once more."""

    parity: tuple[int, ...] = ()
    copies: tuple[int, ...] = ()


def choose_backups(
    code: Code,
    records: Sequence[ChunkRecord],
    *,
    late: Collection[int],
    due: Sequence[int],
    enough: int,
    suffices: Callable[[Collection[int]], bool],
) -> Backups:
    """The fewest backups with which the answer is likely to be good enough.

    Copies of blocks are exact, and of as many parity chunks and copies these are chosen. Where
    neither do, all copies are that are due, and parity for blocks that nobody is at.

    Parameters
    ----------
    code : Code
    records : sequence of ChunkRecord
    late : collection of int
        Chunks that nobody waits for any more.
    due : sequence of int
        Chunks that may be run once more, those first that need it most.
    enough : int
        Results that are needed at least.
    suffices : callable
        ``suffices(chunks)``: whether results of these chunks are likely to do.

    Examples
    --------
    Two of four blocks are late, and an affine function needs five results:

    >>> from dask_bacc import coding
    >>> here, slow, spare = (ChunkRecord(s) for s in ("returned", "running", "spare"))
    >>> records = [here, here, slow, slow, spare, spare]
    >>> choose_backups(coding.Berrut(4, 6, systematic=True), records, late={2, 3}, due=[2, 3],
    ...                enough=4, suffices=lambda chunks: len(chunks) > 4)
    Backups(parity=(), copies=(2, 3))
    >>> choose_backups(coding.Berrut(4, 6, systematic=True), records, late={2, 3}, due=[2, 3],
    ...                enough=4, suffices=lambda chunks: {0, 1, 5} <= set(chunks))
    Backups(parity=(5,), copies=())
    """
    if suffices(coming_without(records, {*late, *due})):
        return Backups()
    copies = _fewest(due, coming_without(records, due), suffices)
    coming = coming_without(records, late)
    ranked = _ranked(code, _spares(records), _lost(code, coming)) if late else []
    parity = _fewest(ranked, coming, suffices)
    if parity is not None and (copies is None or len(parity) < len(copies)):
        return Backups(parity=parity)
    if copies is not None:
        return Backups(copies=copies)
    given_up = () if due else late
    return Backups(tuple(parity_for(code, records, given_up, enough)), tuple(due))


def _fewest(
    chunks: Sequence[int], coming: Collection[int], suffices: Callable[[Collection[int]], bool]
) -> tuple[int, ...] | None:
    """As many of the first of these chunks as suffice with those that come; None if none do."""
    if not chunks or not suffices({*coming, *chunks}):
        return None
    counts = range(len(chunks) + 1)
    count = bisect_left(counts, True, key=lambda count: suffices({*coming, *chunks[:count]}))
    return tuple(chunks[:count])
