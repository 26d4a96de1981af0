"""How the chunks of a group are made from its blocks: a pure model of what each way costs.

Three ways, of which each may be the cheapest:

- *direct*: each combined chunk is one task that takes all its blocks. Every block travels once for
  every chunk that it is part of. Right for small blocks, for a single parity chunk, and for codes
  whose parity chunks share no blocks.
- *gathered*: one task takes all blocks and makes all chunks. Every block and every chunk travels
  once, but one worker has all of them in memory, and all chunks start out there.
- *split*: every block is cut into slices, one task takes the same slice of all blocks and makes
  that slice of all chunks, and the slices of a chunk are put together. Blocks and chunks travel
  once, as in a rechunk there and back; the work and the memory are shared by as many workers as
  there are slices, and so are the chunks. Costs about as many tasks as blocks times slices.

A chunk needs every block that is in it whichever way it is made, so it waits for every worker that
holds one; the scheduler gives the tasks in between to these same workers. What differs is the end:
all chunks of a gathered group are on one worker, and are lost or late with it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

#: Seconds that the scheduler and a worker spend on a task besides computing.
TASK_SECONDS = 1.5e-3
#: Workers that are taken to share the transfers of many groups.
WORKERS = 16
#: Slices that are considered unless memory calls for more.
MOST_SLICES = 8


@dataclass(frozen=True)
class Work:
    """Chunks to be made of a group's blocks."""

    #: blocks that are part of any of the chunks
    blocks: int
    #: for each combined chunk, the number of blocks that it is made of
    terms: Sequence[int]
    #: bytes of a block, and of a chunk
    nbytes: int
    #: groups that are made at the same time
    groups: int = 1


@dataclass(frozen=True)
class Cost:
    """What one way costs."""

    #: bytes that travel, at most
    moved: int
    #: tasks
    tasks: int
    #: bytes that one task takes and makes
    peak: int
    #: workers among which the transfers of a group are shared
    places: int

    def seconds(self, bandwidth: float, groups: int) -> float:
        """Time for `groups` of these at once, with so many bytes per second into a worker."""
        receivers = min(self.places * groups, max(WORKERS, self.places))
        return groups * (self.tasks * TASK_SECONDS + self.moved / (bandwidth * receivers))


def cost(work: Work, slices: int) -> Cost:
    """What making the chunks costs: directly (0 slices), gathered (1) or split (2 and more).

    Examples
    --------
    >>> work = Work(blocks=16, terms=[16] * 4, nbytes=100)
    >>> [cost(work, slices).moved for slices in (0, 1, 4)]
    [6400, 2000, 2000]
    >>> [cost(work, slices).tasks for slices in (0, 1, 4)]
    [4, 5, 88]
    >>> [cost(work, slices).peak for slices in (0, 1, 4)]
    [1700, 2000, 500]
    """
    chunks = len(work.terms)
    size = work.nbytes
    if slices == 0:
        return Cost(sum(work.terms) * size, chunks, (max(work.terms) + 1) * size, chunks)
    total = work.blocks + chunks
    tasks = 1 + chunks if slices == 1 else slices * (work.blocks + 1 + chunks) + chunks
    return Cost(total * size, tasks, math.ceil(total * size / slices), slices)


def choose_slices(work: Work, *, most: int, memory: int, bandwidth: float) -> int:
    """The cheapest way that fits into memory: 0 for direct, 1 for gathered, more for split.

    Parameters
    ----------
    work : Work
    most : int
        Slices into which a block can be cut.
    memory : int
        Bytes that a task may take and make. If no way keeps to it, the one with the least is
        chosen.
    bandwidth : float
        Bytes per second into a worker.

    Examples
    --------
    >>> def ways(nbytes, **other):
    ...     work = Work(blocks=16, terms=[16] * 4, nbytes=nbytes, **other)
    ...     return choose_slices(work, most=1000, memory=2**28, bandwidth=1e8)
    >>> [ways(nbytes) for nbytes in (10_000, 16_000_000, 256_000_000)]
    [0, 4, 20]
    """
    # With as many slices as chunks, every chunk is on a worker of its own.
    useful = min(len(work.terms), MOST_SLICES)
    needed = math.ceil(cost(work, 1).peak / memory)
    options: set[int] = {*range(min(most, useful) + 1), min(most, needed)}
    fits = [s for s in options if cost(work, s).peak <= memory]
    if not fits:
        return min(options, key=lambda s: (cost(work, s).peak, s))
    return min(fits, key=lambda s: (cost(work, s).seconds(bandwidth, work.groups), s))
