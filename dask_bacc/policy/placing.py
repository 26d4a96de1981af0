"""Which worker runs which chunk, where some workers are kept off: a pure function of the data."""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching


def near(holders: Collection[set[str]]) -> set[str]:
    """The workers that have all parts of some data, or else those that have any.

    None if there is a part that nobody has yet.

    Parameters
    ----------
    holders : collection of set of str
        Of each part: a chunk of several arrays may have each of them somewhere else.

    Examples
    --------
    >>> near([{"a", "b"}, {"b"}]), near([{"a"}, set()]), sorted(near([{"a"}, {"b"}]))
    ({'b'}, set(), ['a', 'b'])
    """
    if not holders or not all(holders):
        return set()
    return set.intersection(*holders) or set.union(*holders)


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


def placed_beside(
    blocks: Mapping[int, str], holders: Mapping[int, Collection[str]], threads: Mapping[str, int]
) -> dict[int, str]:
    """Threads that blocks leave for other chunks, as far as there are any.

    Wherever else they ran, a block would wait for them.

    Parameters
    ----------
    blocks : mapping of int to str
        The worker of each.
    holders : mapping of int to collection of str
        The workers that have another chunk's data; none if it is made of what many have.
    threads : mapping of str to int
        Of the workers that may run them, at least one.

    Examples
    --------
    >>> placed_beside({0: "a", 1: "b"}, {2: "a", 3: "d", 4: ""}, dict.fromkeys("abcd", 1))
    {2: 'c', 3: 'd'}
    """
    taken = Counter(blocks.values())
    left = {worker: count - taken[worker] for worker, count in threads.items()}
    left = {worker: count for worker, count in left.items() if count > 0}
    chosen = dict(itertools.islice(holders.items(), sum(left.values())))
    return placed(chosen, left) if chosen else {}
