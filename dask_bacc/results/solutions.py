"""How the results of a run decode: found anew only where there is something new to find."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dask_bacc.coding._typing import AnyArray
from dask_bacc.results.result import FlatResult, ResultSpec
from dask_bacc.results.solved import Solved
from dask_bacc.results.solver import Solver

#: Seconds that looking at rows takes, as long as nothing is known of it, and the share of the
#: run's time that it may take where blocks give an answer that is good enough.
GUESS, SHARE = 0.2, 0.2


@dataclass(frozen=True, eq=False)
class Returned:
    """What has come of a run at some time; never changed."""

    #: of every chunk that returned, in order of arrival
    specs: Mapping[int, ResultSpec]
    #: the results that are here
    results: Mapping[int, FlatResult]
    #: sketches of chunks, of others too
    sketches: Mapping[int, Sequence[AnyArray]]
    #: seconds since the run was submitted
    elapsed: float = math.inf


class Solutions:
    """What a solver found, and when it is worth asking again.

    One thread at a time asks the solver; those who come meanwhile wait, and find it done.

    Parameters
    ----------
    solver : Solver
    """

    def __init__(self, solver: Solver) -> None:
        self._solver = solver
        self._lock = threading.RLock()
        #: the last of each kind and the number of chunks whose sketches it was made with
        self._by_blocks: tuple[Solved, int] | None = None
        self._by_rows: tuple[Solved, int] | None = None
        self._price = GUESS
        #: seconds that solving took so far
        self.seconds = 0.0

    @property
    def rows_affordable(self) -> float:
        """Seconds since the run's submission from which on rows are looked at."""
        return self._price / SHARE

    def by_blocks(
        self, returned: Returned, *, thorough: bool = False, until: float = math.inf
    ) -> Solved:
        """How results decode if every block is a point; see `Solver.solve`."""
        with self._lock:
            known = self._by_blocks
            if known is None or _is_old(known, returned, thorough):
                solved = self._solve(returned, None, thorough, until)
                self._by_blocks = known = solved, len(returned.sketches)
            return known[0]

    def best(
        self,
        returned: Returned,
        *,
        thorough: bool = False,
        insist: bool = False,
        until: float = math.inf,
    ) -> Solved:
        """The same with rows as points, if that is better, all results are here and there is time.

        If not, what fewer results gave row by row is kept where it has the smaller error: more
        results must not make an answer worse.

        Parameters
        ----------
        returned, thorough, until
            As before.
        insist : bool
            Whether it may take more than its share of the run's time.
        """
        with self._lock:
            by_blocks = self.by_blocks(returned, thorough=thorough, until=until)
            known = self._by_rows
            if known is not None and not _is_old(known, returned, thorough):
                return known[0]
            affordable = insist or returned.elapsed >= self.rows_affordable
            here = returned.results.keys() >= returned.specs.keys()
            if affordable and here and by_blocks.estimate.overall > 0:
                before = self.seconds
                solved = self._solve(returned, returned.results, thorough, until)
                if solved.by_rows or time.monotonic() < until:
                    self._by_rows = solved, len(returned.sketches)
                    self._price = self.seconds - before
                    return solved
            return by_blocks if known is None else self._solver.better(by_blocks, known[0])

    def _solve(
        self,
        returned: Returned,
        values: Mapping[int, FlatResult] | None,
        thorough: bool,
        until: float,
    ) -> Solved:
        begin = time.monotonic()
        solved = self._solver.solve(
            returned.specs, returned.sketches, values=values, thorough=thorough, until=until
        )
        self.seconds += time.monotonic() - begin
        return solved


def _is_old(known: tuple[Solved, int], returned: Returned, thorough: bool) -> bool:
    """Whether there is more to go by now, or it was not thorough enough."""
    solved, sketched = known
    return (
        solved.count < len(returned.specs)
        or sketched < len(returned.sketches)
        or thorough > solved.thorough
    )
