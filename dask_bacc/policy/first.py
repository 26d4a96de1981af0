"""Which chunks are launched first, where others may follow: pure functions of what is known."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from dask_bacc.coding import Code
from dask_bacc.policy.situation import Foresight
from dask_bacc.policy.stop import is_complete

#: Share of the error that is good enough, to which chunks that are launched alone have to bring
#: it: what is foreseen from earlier rounds may be off by as much.
SURE = 0.7
#: Blocks of a thread from which on a run loses nothing that shows by launching parity once a block
#: is late: it would not start before that.
LONG = 32


def fewest_first(
    blocks: Sequence[int],
    unheard: Callable[[int], int],
    *,
    enough: int,
    rtol: float,
    foresight: Foresight | None,
) -> list[int]:
    """As few of these chunks as are likely to do, those first of which least is known.

    Parameters
    ----------
    blocks : sequence of int
        Chunks that are blocks as they stand.
    unheard : callable
        Rounds since a chunk has returned.
    enough : int
        Results that are needed at least.
    rtol : float
        Error that is good enough.
    foresight : callable, optional
        The error that is likely once some chunks are in; None if that is not known.

    Examples
    --------
    >>> ages = {0: 1, 1: 3, 2: 1, 3: 2}
    >>> foreseen = lambda chunks: 0.1 / len(chunks)
    >>> fewest_first(range(4), ages.get, enough=1, rtol=0.05, foresight=foreseen)
    [1, 3, 0]
    >>> fewest_first(range(4), ages.get, enough=1, rtol=0.01, foresight=foreseen)
    [0, 1, 2, 3]
    """
    if foresight is not None:
        order = sorted(blocks, key=lambda chunk: (-unheard(chunk), chunk))
        for count in range(enough, len(order)):
            if foresight(order[:count]) <= SURE * rtol:
                return order[:count]
    return list(blocks)


def without_room(code: Code, chunks: Collection[int], threads: int) -> list[int]:
    """Those of the chunks for which no thread is left beside the blocks' own.

    They would start when the blocks end, and be in the way of who comes next: what has started
    keeps its thread. None, unless every block's own is among the chunks.

    Parameters
    ----------
    code : Code
    chunks : collection of int
    threads : int
        Of the workers that may run them; 0 if that is not known.

    Examples
    --------
    >>> from dask_bacc import coding
    >>> without_room(coding.get_code("systematic", 2, 4), range(4), threads=3)
    [3]
    >>> without_room(coding.Berrut(2, 4), range(4), threads=3)
    []
    """
    if not threads or not is_complete(code, chunks):
        return []
    mixed = [chunk for chunk in chunks if code.own_blocks[chunk] < 0]
    return mixed[max(threads - (len(chunks) - len(mixed)), 0) :]


def is_long(blocks: int, threads: int) -> bool:
    """Whether every thread has so many blocks that parity may wait until one is late.

    Parameters
    ----------
    blocks : int
    threads : int
        Of all workers; 0 if that is not known.

    Examples
    --------
    >>> is_long(2048, 8), is_long(32, 8), is_long(2048, 0)
    (True, False, False)
    """
    return 0 < LONG * threads <= blocks


def ahead(chunks: Collection[int], unheard: Callable[[int], int]) -> dict[int, int]:
    """By how much chunks go ahead of others because nothing was heard of them for some rounds.

    Examples
    --------
    >>> ahead([0, 1, 2], {0: 1, 1: 3, 2: 2}.get)
    {1: 2, 2: 1}
    """
    return {chunk: age - 1 for chunk in chunks if (age := unheard(chunk)) > 1}
