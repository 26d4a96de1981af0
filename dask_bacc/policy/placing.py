"""Which worker runs which chunk, where some workers are kept off: a pure function of the data."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Mapping

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching


def placed(holders: Mapping[int, Collection[str]], threads: Mapping[str, int]) -> dict[int, str]:
    """A worker for every chunk, so that none has two turns while one would do.

    As many chunks as possible stay where their data is; the others go to threads that are left.

    Parameters
    ----------
    holders : mapping of int to collection of str
        The workers that have the chunk's data.
    threads : mapping of str to int
        Of the workers that may run them, at least one.

    Examples
    --------
    >>> placed({0: "ab", 1: "a", 2: "x"}, dict.fromkeys("abc", 1))
    {0: 'b', 1: 'a', 2: 'c'}
    """
    turns = math.ceil(len(holders) / sum(threads.values()))
    seats = turns * [worker for worker, count in threads.items() for _ in range(count)]
    seats_of = defaultdict[str, list[int]](list)
    for seat, worker in enumerate(seats):
        seats_of[worker].append(seat)
    pairs = [(i, s) for i, by in enumerate(holders.values()) for w in by for s in seats_of[w]]
    rows, columns = np.array(pairs, dtype=np.intp).reshape(-1, 2).T
    there = csr_array((np.ones(len(pairs)), (rows, columns)), (len(holders), len(seats)))
    kept = maximum_bipartite_matching(there, perm_type="column").tolist()
    free = iter(sorted(set(range(len(seats))).difference(kept)))
    return {
        chunk: seats[seat if seat >= 0 else next(free)]
        for chunk, seat in zip(holders, kept, strict=True)
    }
