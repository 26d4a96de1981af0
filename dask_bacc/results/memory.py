"""What rounds of a function over the same chunks have returned, for rounds to come."""

from __future__ import annotations

import math
import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from dask_bacc.coding._typing import FloatArray
from dask_bacc.results.result import FlatResult, ResultSpec
from dask_bacc.results.steps import Sketched, sketched

#: Hyper-parameters that were likeliest, by leaf and group of the code.
Parameters = dict[tuple[int, int], FloatArray]


@dataclass(frozen=True, eq=False)
class Past:
    """A result of an earlier round."""

    chunk: int
    #: number of the round
    turn: int
    spec: ResultSpec
    #: None if it stays on a worker
    result: FlatResult | None
    #: what keeps it there, and the worker's address
    held: Any = None
    worker: str | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of its arrays, here or there."""
        dtypes = self.spec.dtypes
        return sum(
            math.prod(leaf.shape) * sum(dtypes[member].itemsize for member in leaf.members)
            for leaf in self.spec.layout.leaves
        )


@dataclass(frozen=True, eq=False)
class Earlier:
    """What earlier rounds have left, as one round finds it."""

    #: number of this round
    turn: int
    #: by rounds, and by chunks within a round
    past: tuple[Past, ...] = ()
    #: what the arguments of rounds were, this one's too; None where they are no numbers
    arguments: Mapping[int, Sketched | None] = field(default_factory=dict)
    #: from which searches start
    start: Mapping[tuple[int, int], FloatArray] = field(default_factory=dict)
    #: what this round finds
    found: Parameters = field(default_factory=dict)
    #: to which this round adds
    memory: RoundsMemory | None = None

    def keep(
        self,
        specs: Mapping[int, ResultSpec],
        results: Mapping[int, FlatResult],
        aside: Collection[int],
        held: Mapping[int, tuple[Any, str | None]],
    ) -> None:
        """Remember what the round has brought, but for results that look corrupted.

        Parameters
        ----------
        specs : mapping by chunk
        results : mapping by chunk
            Those that are here.
        aside : collection of int
            Chunks whose results do.
        held : mapping by chunk
            What keeps results on workers, and their addresses.
        """
        if self.memory is not None:
            past = [
                Past(chunk, self.turn, spec, results.get(chunk), *held.get(chunk, ()))
                for chunk, spec in specs.items()
                if chunk not in aside and spec.finite
            ]
            self.memory.take(past, self.found)

    def on(self, workers: Collection[str]) -> Earlier:
        """The same without what other workers have."""
        past = tuple(p for p in self.past if p.result is not None or p.worker in workers)
        return replace(self, past=past)

    def unheard(self, chunk: int) -> int:
        """Rounds since the chunk returned for the last time."""
        turns = [past.turn for past in self.past if past.chunk == chunk]
        return self.turn - max(turns, default=0)


class RoundsMemory:
    """The last results of every chunk, and when they were.

    Of results that stay on workers, which are above ``bacc.gather-limit``, it keeps the futures;
    they are not pickled with it.

    Parameters
    ----------
    keep : int
        Results of every chunk that are kept.
    """

    def __init__(self, keep: int = 2) -> None:
        self._keep = keep
        #: rounds that have begun
        self.turns = 0
        self._past: dict[int, tuple[Past, ...]] = {}
        self._arguments: dict[int, Sketched | None] = {}
        self._parameters: Parameters = {}
        self._lock = threading.Lock()

    @property
    def nbytes(self) -> int:
        """Bytes of the results that are kept, here and on workers."""
        with self._lock:
            return sum(past.nbytes for kept in self._past.values() for past in kept)

    def begin(self, arguments: Any) -> Earlier:
        """A round begins with these arguments."""
        with self._lock:
            turn = self.turns
            self.turns += 1
            past = [one for kept in self._past.values() for one in kept]
            past.sort(key=lambda one: (one.turn, one.chunk))
            needed = {one.turn for one in past}
            self._arguments = {t: a for t, a in self._arguments.items() if t in needed}
            self._arguments[turn] = sketched(arguments)
            return Earlier(
                turn, tuple(past), dict(self._arguments), dict(self._parameters), memory=self
            )

    def take(self, come: Sequence[Past], parameters: Parameters) -> None:
        """Keep what a round has brought, and let go of what is older than the last few."""
        with self._lock:
            for new in come:
                before = self._past.get(new.chunk, ())
                # A round whose results were fetched after it was decided comes twice.
                kept = [p for p in before if p.turn != new.turn and p.spec.matches(new.spec)]
                kept = sorted([*kept, new], key=_turn)
                self._past[new.chunk] = tuple(kept[-self._keep :])
            self._parameters |= parameters

    def has(self, chunks: Iterable[int]) -> bool:
        """Whether there is a result of each of these chunks."""
        with self._lock:
            return self._past.keys() >= set(chunks)

    def __getstate__(self) -> dict[str, Any]:
        with self._lock:
            state = {name: value for name, value in self.__dict__.items() if name != "_lock"}
        here = {
            chunk: tuple(past for past in kept if past.result is not None)
            for chunk, kept in self._past.items()
        }
        return state | {"_past": {chunk: kept for chunk, kept in here.items() if kept}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()


def _turn(past: Past) -> int:
    return past.turn
