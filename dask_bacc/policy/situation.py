"""What a run goes by, and how it stands."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass

from dask_bacc.coding import Code, Decoder
from dask_bacc.policy.lateness import Patience
from dask_bacc.policy.timing import Timing
from dask_bacc.records.state import RunState

#: The error that is likely once these chunks are in, beside what has returned; inf for no answer.
Foresight = Callable[[Collection[int]], float]
#: That many times as long as an estimate took, what it foresees is relied on.
FORESEEN_FOR = 5.0


@dataclass(frozen=True)
class Rules:
    """What a run goes by from its first step to its last."""

    code: Code
    decoder: Decoder
    #: results that are needed at least
    enough: int
    #: whether the estimated error decides if they are good enough
    estimates: bool
    #: estimated error at which they are
    rtol: float
    #: seconds after which the run ends with what has come; inf for none
    deadline: float
    #: who is late
    patience: Patience
    #: whether parity chunks are launched for blocks that are late
    parity: bool
    #: whether blocks that are late may be run once more elsewhere
    copies: bool
    #: whether only an exact answer will do
    exact: bool
    timing: Timing
    #: workers that are known to be slow
    slow: Collection[str] = ()


@dataclass
class Situation:
    """How a run stands, as far as that says what it does next; see `next_step`.

    Who performs the steps keeps it up. Times are in seconds since the run was submitted.
    """

    state: RunState
    #: when results began to be collected
    began: float = 0.0
    #: when something came last
    came: float = 0.0
    #: seconds between the last two that came; 0 if they came together
    gap: float = 0.0
    #: number of results that were in then
    count: int = 0
    #: when as many results as needed were in
    enough_since: float = math.inf
    #: whether something has come that the last estimate does not know
    fresh: bool = False
    #: seconds that the last estimate took, and when it ended
    price: float | None = None
    estimated_at: float = -math.inf
    #: when the same results may be good enough, for then there is time for a closer look
    estimate_again: float = math.inf
    #: what the last estimate foresees, and the number of results that it knew
    foresight: Foresight | None = None
    foreseen_from: int = 0
    #: time until which it is good enough: estimates take time, too
    foresee_again: float = 0.0
    #: when workers were probed last
    probed: float = 0.0
    #: whether an estimate or a launch is under way
    busy: bool = False
    #: time until which nobody looks for late chunks: looking takes time, too
    rest_until: float = 0.0
    #: whether more chunks can be launched
    may_launch: bool = True
    #: time until which nobody looks for idle workers
    copies_again: float = 0.0
    #: chunks that need what only workers have that do not respond
    out_of_reach: frozenset[int] = frozenset()

    def cannot_reach(self, chunks: Collection[int]) -> None:
        """Nothing but workers that do not respond can bring these chunks."""
        if chunks != self.out_of_reach:
            # With less to wait for, what has come may do after all.
            self.out_of_reach, self.fresh = frozenset(chunks), True

    def needed(self, enough: int) -> int:
        """Of so many results, those that an estimate needs: all that can be had, if fewer can."""
        state = self.state
        if not self.out_of_reach or any(record.state == "spare" for record in state.records):
            return enough
        nothing_else = self.out_of_reach.issuperset(state.open_chunks())
        return max(1, min(enough, len(state.returned))) if nothing_else else enough

    def estimated(self, count: int, foresight: Foresight, now: float, price: float) -> None:
        """An estimate from the first so many results, at that price, did not end the run."""
        self.foresight, self.foreseen_from = foresight, count
        self.price, self.estimated_at = price, now
        self.foresee_again = now + FORESEEN_FOR * self.price

    def arrived(self, now: float, enough: int) -> None:
        """Outcomes of chunks were taken in; so many results are needed."""
        before, self.count = self.count, len(self.state.returned)
        self.gap = 0.0 if self.count - before > 1 else now - self.came
        self.came, self.fresh, self.copies_again = now, True, 0.0
        if self.count >= enough:
            self.enough_since = min(self.enough_since, now)
