"""What to do about stragglers, from how they were in the first rounds and how blocks differ."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dask_bacc.coding._typing import AnyArray
from dask_bacc.records.report import RunReport

#: Times what chance would make them differ, from which on blocks are unlike.
UNLIKE = 3.0
#: How unevenly workers are late, over what chance would make it, from which on that persists.
PERSISTENT = 3.0
#: Times the usual seconds of a chunk, above which its worker is late.
LONG = 1.5
#: First rounds of a training, in which workers import what they need and whose seconds say little,
#: and rounds until there is advice.
COLD, TRIED = 4, 8
#: Times as many rounds that trainings took which left a third of the rows out: 1.06 and 1.27
#: (docs/training.md). By theory it is 1 where sampling noise does not matter, and 3/2 where
#: nothing else does (McCandlish et al., arXiv:1812.06162, eq. 2.7).
MORE_ROUNDS = 1.15


@dataclass(frozen=True)
class Advice:
    """What is recommended, and why."""

    policy: str
    #: mean square of how far blocks are apart, over that of blocks whose rows are mixed
    unlike: float
    #: how unevenly workers are late, over what chance would make it
    persistent: float
    #: workers that are late in a round, in the mean
    late: float
    #: seconds that a training takes which ignores who is late, over those of exact rounds
    ignoring: float
    #: whether all chunks of a round may run at the same time
    at_once: bool

    def __str__(self) -> str:
        blocks = "unlike" if self.unlike > UNLIKE else "mixed"
        who = "the same" if self.persistent > PERSISTENT else "by turns"
        then = f"to ignore them takes {self.ignoring:.2f} times as long"
        if not self.at_once:
            then = "there are fewer threads than chunks, and the last ones wait for the first"
        return (
            f"{self.policy}: blocks are {blocks} ({self.unlike:.1f}), "
            f"late chunks are {who} ({self.persistent:.1f}), {self.late:.1f} in a round; {then}"
        )


def unlikeness(sums: AnyArray, squares: AnyArray, rows: int) -> float:
    """Mean square of how far the blocks' means are apart, over what mixed rows would give.

    Parameters
    ----------
    sums, squares : (k, c) ndarrays
        Of what is wanted of the rows, and of its squares, for each block.
    rows : int
        Rows of a block.

    Examples
    --------
    >>> import numpy as np
    >>> labels = np.eye(2)[np.random.default_rng(0).integers(2, size=(8, 100))]
    >>> mixed = unlikeness(labels.sum(axis=1), labels.sum(axis=1), 100)
    >>> bool(mixed < 3)
    True
    >>> labels = np.eye(2)[np.sort(np.arange(800) % 2)].reshape(8, 100, 2)
    >>> unlikeness(labels.sum(axis=1), labels.sum(axis=1), 100) > 50
    True
    """
    means = sums / rows
    whole = means.mean(axis=0)
    variance = squares.sum(axis=0) / (rows * len(sums)) - whole**2
    chance = float(variance.sum()) / rows
    between = float(((means - whole) ** 2).sum()) / max(len(sums) - 1, 1)
    return between / chance if chance > 0 else 1.0


def late_workers(report: RunReport) -> dict[str, bool]:
    """Of the workers that were at a chunk, whether one of them took long.

    Longer than others usually do, whether it returned or not: what was cancelled because others
    were enough says nothing.
    """
    tried = [one for chunk in report.chunks for _, one in chunk.tried]
    ran = [(t.worker, t.started, t.done or t.ended or report.seconds) for t in tried]
    known = [(worker, end - start) for worker, start, end in ran if worker and start is not None]
    ended = [t.done - t.started for t in tried if t.done is not None and t.started is not None]
    usual = statistics.median(ended) if ended else math.inf
    found: dict[str, bool] = {}
    for worker, seconds in known:
        found[worker] = found.get(worker, False) or seconds > LONG * usual
    return found


def persistence(rounds: Sequence[Mapping[str, bool]]) -> float:
    """How unevenly workers are late, over what chance makes it; 1 if they take turns.

    Parameters
    ----------
    rounds : sequence of mappings
        Of every round the workers that were at a chunk, and whether they were late.

    Examples
    --------
    >>> import numpy as np
    >>> turns = np.random.default_rng(0).random((40, 12)) < 0.2
    >>> persistence([dict(zip("abcdefghijkl", late)) for late in turns.tolist()]) < 3
    True
    >>> persistence([{"a": True, "b": False, "c": False}] * 12) > 10
    True
    """
    tried, late = Counter[str](), Counter[str]()
    for who in rounds:
        tried.update(who.keys())
        late.update(worker for worker, was in who.items() if was)
    share = late.total() / max(tried.total(), 1)
    if len(tried) < 2 or not 0 < share < 1:
        return 0.0
    off = sum((late[w] - share * count) ** 2 / count for w, count in tried.items())
    return off / (share * (1 - share) * (len(tried) - 1))


def late_in_a_round(rounds: Sequence[Mapping[str, bool]]) -> float:
    """Number of workers that are late in a round, in the mean.

    Examples
    --------
    >>> late_in_a_round([{"a": True, "b": False}, {"a": False, "b": False}])
    0.5
    """
    return sum(sum(who.values()) for who in rounds) / max(len(rounds), 1)


def sooner(report: RunReport, count: int) -> float:
    """Seconds by which so many results were there before the last one that was taken."""
    ended = [c.ended for c in report.chunks if c.state == "returned" and c.ended is not None]
    return max(ended) - sorted(ended)[count - 1] if len(ended) >= count else 0.0


def time_ignoring(seconds: Sequence[float], saved: Sequence[float]) -> float:
    """Seconds of a training that ignores who is late, over those of one that waits for all.

    Its rounds are shorter, and there are more of them.

    Parameters
    ----------
    seconds : sequence of float
        Of rounds that waited.
    saved : sequence of float
        Of each, by which it would have been shorter.

    Examples
    --------
    >>> round(time_ignoring([9.0] * 4 + [0.5, 0.5], [8.0] * 4 + [0.2, 0.2]), 2)
    0.69
    """
    return MORE_ROUNDS * (1 - sum(saved[COLD:]) / max(sum(seconds[COLD:]), 1e-9))


def to_begin_with(unlike: float, rounds: int, *, at_once: bool) -> str:
    """The policy after so many rounds, as long as it is not known how stragglers are.

    Where blocks are mixed, those that are late are ignored as long as nothing can be learnt from
    them, and then copied: what a round saves that ignores them is seen in rounds that wait. Rounds
    that remember have nothing to remember in the first epoch.

    Examples
    --------
    >>> [to_begin_with(1.0, rounds, at_once=True) for rounds in (0, 4)]
    ['ignore', 'backup']
    >>> to_begin_with(40.0, 0, at_once=True), to_begin_with(1.0, 0, at_once=False)
    ('rounds', 'backup')
    """
    if unlike > UNLIKE:
        return "rounds"
    return "ignore" if rounds < COLD and at_once else "backup"


def recommend(
    unlike: float, persistent: float, late: float, ignoring: float, *, at_once: bool
) -> Advice:
    """The policy for blocks that are so unlike, and stragglers so persistent.

    Where blocks are mixed and stragglers take turns, what is missing is a random sample, and
    leaving it out costs nothing but a little noise: copies, which keep rounds exact, are for
    trainings that take no longer by them. Chunks that wait for a thread are no random sample: the
    last ones of every minibatch would never count. Else coded rounds keep what others lose.

    Examples
    --------
    >>> recommend(1.0, 1.0, 3.0, 0.7, at_once=True).policy
    'ignore'
    >>> recommend(40.0, 1.0, 3.0, 0.7, at_once=True).policy
    'rounds'
    >>> recommend(1.0, 1.0, 0.3, 1.1, at_once=True).policy
    'backup'
    >>> recommend(1.0, 1.0, 3.0, 0.7, at_once=False).policy
    'backup'
    """
    policy = "rounds"
    if unlike <= UNLIKE and persistent <= PERSISTENT:
        policy = "ignore" if ignoring < 1 and at_once else "backup"
    return Advice(policy, unlike, persistent, late, ignoring, at_once)
