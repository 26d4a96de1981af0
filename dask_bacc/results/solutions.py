"""How the results of a run decode: found anew only where there is something new to find."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence

from dask_bacc.coding._typing import AnyArray
from dask_bacc.records.state import Ledger
from dask_bacc.results.result import FlatResult, Outline
from dask_bacc.results.solved import Solved
from dask_bacc.results.solver import Solver

#: Seconds that looking at rows takes, as long as nothing is known of it, and the share of the
#: run's time that it may take where blocks give an answer that is good enough.
GUESS, SHARE = 0.2, 0.1


class Solutions:
    """What a solver found, and when it is worth asking again.

    Parameters
    ----------
    solver : Solver
    ledger : Ledger
        Of the run, which knows how long it has taken and is told how long solving takes.
    """

    def __init__(self, solver: Solver, ledger: Ledger) -> None:
        self._solver = solver
        self._ledger = ledger
        #: the last of each kind and the number of chunks whose sketches it was made with
        self._by_blocks: tuple[Solved, int] | None = None
        self._by_rows: tuple[Solved, int] | None = None
        self._price = GUESS

    def by_blocks(
        self,
        results: Mapping[int, Outline],
        sketches: Mapping[int, Sequence[AnyArray]],
        *,
        thorough: bool = False,
        until: float = math.inf,
    ) -> Solved:
        """How the results decode if every block is a point; see `Solver.solve`."""
        known = self._by_blocks
        if known is None or _is_old(known, results, sketches, thorough):
            begin = time.monotonic()
            solved = self._solver.solve(results, sketches, thorough=thorough, until=until)
            self._by_blocks = known = solved, len(sketches)
            self._ledger.solving += time.monotonic() - begin
        return known[0]

    def best(
        self,
        results: Mapping[int, Outline],
        sketches: Mapping[int, Sequence[AnyArray]],
        values: Mapping[int, FlatResult],
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
        results, sketches, thorough, until
            As before.
        values : mapping of int to FlatResult
            The results that are here.
        insist : bool
            Whether it may take more than its share of the run's time.
        """
        by_blocks = self.by_blocks(results, sketches, thorough=thorough, until=until)
        known = self._by_rows
        if known is not None and not _is_old(known, results, sketches, thorough):
            return known[0]
        affordable = insist or self._price <= SHARE * self._ledger.elapsed
        if affordable and by_blocks.overall > 0 and values.keys() >= results.keys():
            begin = time.monotonic()
            solved = self._solver.solve(
                results, sketches, values=values, thorough=thorough, until=until
            )
            end = time.monotonic()
            self._ledger.solving += end - begin
            if solved.by_rows or end < until:
                self._by_rows, self._price = (solved, len(sketches)), end - begin
                return solved
        return by_blocks if known is None else self._solver.better(by_blocks, known[0])


def _is_old(
    known: tuple[Solved, int],
    results: Mapping[int, Outline],
    sketches: Mapping[int, Sequence[AnyArray]],
    thorough: bool,
) -> bool:
    """Whether there is more to go by now, or it was not thorough enough."""
    solved, sketched = known
    return solved.count < len(results) or sketched < len(sketches) or thorough > solved.thorough
