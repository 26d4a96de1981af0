"""How the results of a run decode, and what they decode to."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from dask_bacc.coding import Code, Decoder, lost_blocks
from dask_bacc.coding._typing import AnyArray
from dask_bacc.coding.kriging.sketch import locate
from dask_bacc.coding.linear import rounding
from dask_bacc.coding.patience import search_unless
from dask_bacc.coding.threads import one_thread
from dask_bacc.policy.options import RunOptions
from dask_bacc.policy.situation import Foresight
from dask_bacc.records.report import Partial
from dask_bacc.results.combine import combine_results
from dask_bacc.results.encoded import Encoded
from dask_bacc.results.gaps import BlockGaps
from dask_bacc.results.joining import Joining
from dask_bacc.results.memory import Earlier
from dask_bacc.results.remembering import Remembering
from dask_bacc.results.result import FlatResult
from dask_bacc.results.solutions import Returned, Solutions
from dask_bacc.results.solved import Solved
from dask_bacc.results.solver import Solver
from dask_bacc.runtime.executor import in_decoding_thread

#: Seconds for the last estimate of a run whose deadline has passed.
GRACE = 0.4


class Verdict(NamedTuple):
    """Whether results are good enough."""

    good: bool
    #: seconds since the run's submission from which on a closer look may say otherwise
    again: float
    #: what is likely to be the error once more chunks are in
    foresight: Foresight


class Decider:
    """Solves and decodes in threads of its own, from snapshots of what has come.

    Parameters
    ----------
    code : Code
    options : RunOptions
    encoded : Encoded
    due : float
        When the answer is due, on the monotonic clock.
    earlier : Earlier, optional
        What earlier rounds over the same chunks have left.
    """

    def __init__(
        self,
        code: Code,
        options: RunOptions,
        encoded: Encoded,
        due: float,
        earlier: Earlier | None = None,
    ) -> None:
        self._earlier = earlier
        #: whether sums can be made where results are, if those stay there
        self._there = earlier is not None
        self._code = code
        self._options = options
        self._encoded = encoded
        self._due = due
        self.joining = Joining(options.combine, encoded.cuts)
        #: share of their size to which blocks and results are rounded
        self._precision = encoded.precision
        #: seconds that went into solvers before this one
        self._before = 0.0
        #: estimated error of the results that were looked at last; None if none were, or have none
        self.error_so_far: float | None = None
        self._solutions = self._start()

    def _start(self) -> Solutions:
        #: that of the options, for results of the precision of those that are in
        self.decoder: Decoder = self._options.decoder.at_precision(self._precision)
        return Solutions(
            Solver(
                self._code,
                self.decoder,
                self.joining,
                rounding=self._encoded.precision,
                replace=self._options.suspects == "replace",
                earlier=self._earlier,
            )
        )

    @property
    def estimates(self) -> bool:
        """Whether the estimated error says if results are good enough."""
        options = self._options
        return options.decoder.estimates_error and math.isfinite(options.rtol)

    @property
    def seconds(self) -> float:
        """How long solving took so far."""
        return self._before + self._solutions.seconds

    def foresight(self, sketches: Mapping[int, Sequence[AnyArray]]) -> Foresight | None:
        """What error earlier rounds let expect once some chunks are in; None if they tell nothing.

        Parameters
        ----------
        sketches : mapping of int to sequence of ndarrays
            Of chunks, as far as they are known.
        """
        if self._earlier is None or not sketches:
            return None
        remembering = Remembering(self._code, self._earlier, reduced=self.joining.reduces)
        with one_thread():
            return remembering.foreseen(locate(self._code, sketches, self._encoded.precision))

    @property
    def adds_up_there(self) -> bool:
        """Whether results that workers hold are combined there, and only the answer comes here.

        Labels are put on and gaps filled here, and by this round's results alone.
        """
        encoded = self._encoded
        return self._there and encoded.label is None and encoded.gaps is None

    def forget_earlier(self) -> None:
        """What earlier rounds have left cannot be had, and what this one has is wanted here."""
        if self._earlier is not None:
            self._earlier = replace(self._earlier, past=())
        self._there = False
        self.restart()

    def restart(self) -> None:
        """Forget what was found: other results count from now on."""
        self._before = self.seconds
        self._solutions = self._start()

    def take_precision(self, dtypes: Collection[np.dtype[np.generic]]) -> None:
        """A result of these dtypes is in."""
        if (coarsest := rounding(set(dtypes))) > self._precision:
            self._precision = coarsest
            self.restart()

    async def accurate(self, returned: Returned, enough: int) -> Verdict:
        """Whether so many results are beyond suspicion and the estimated error is small enough.

        Whoever is cancelled here leaves a thread behind that soon ends.
        """
        solutions, over = self._solutions, threading.Event()

        def accurate() -> tuple[bool, Solved]:
            with search_unless(over.is_set):
                return self._accurate(solutions, returned, enough)

        try:
            good, last = await in_decoding_thread(accurate)
        finally:
            over.set()
        overall = last.estimate.overall
        self.error_so_far = overall if math.isfinite(overall) else None
        affordable = solutions.rows_affordable
        again = affordable if affordable > returned.elapsed else math.inf
        return Verdict(good, again, partial(last.foreseen, self._code))

    async def decide(self, returned: Returned) -> Solved:
        """How the results decode in the end."""
        return await in_decoding_thread(self._decide, self._solutions, returned)

    async def partial(self, returned: Returned) -> Partial | None:
        """What the results decode to so far; None if some block has no answer yet."""
        if not returned.results:
            return None
        gaps = await self._gaps()
        return await in_decoding_thread(self._partial, self._solutions, returned, gaps)

    async def answer(self, solved: Solved, results: Mapping[int, FlatResult]) -> Any:
        """What results that are all here decode to."""
        return await in_decoding_thread(self._combined, solved, results, await self._gaps())

    async def _gaps(self) -> BlockGaps | None:
        find = self._encoded.gaps
        return None if find is None else await find()

    def _accurate(
        self, solutions: Solutions, returned: Returned, enough: int
    ) -> tuple[bool, Solved]:
        """Whether results are good enough, and the last solution that says so."""
        rtol = self._options.rtol
        # Rows are looked at where blocks say too little.
        for find in (solutions.by_blocks, solutions.best):
            # A quick look, and a thorough one only if that is promising.
            for thorough in (False, True):
                solved = find(returned, thorough=thorough, until=self._due)
                worst = max(solved.estimate.overall, solved.estimate.alike)
                if not (len(solved.chunks) >= enough and worst <= rtol):
                    break
            else:
                return True, solved
        return False, solved

    def _decide(self, solutions: Solutions, returned: Returned) -> Solved:
        until = self._last_moment()
        solved = solutions.by_blocks(returned, thorough=True, until=until)
        poor = solved.estimate.overall > self._options.rtol
        return solutions.best(returned, thorough=True, insist=poor, until=until)

    def _partial(
        self, solutions: Solutions, returned: Returned, gaps: BlockGaps | None
    ) -> Partial | None:
        solved = solutions.best(returned, until=self._last_moment())
        estimate = solved.estimate
        if lost_blocks(estimate.by_block) or not returned.results.keys() >= set(solved.chunks):
            return None
        answer = self._combined(solved, returned.results, gaps)
        return Partial(answer, estimate.error, estimate.block_error, solved.count)

    def _combined(
        self, solved: Solved, results: Mapping[int, FlatResult], gaps: BlockGaps | None
    ) -> Any:
        encoded = self._encoded
        answer = combine_results(solved, results, self.joining, encoded.label, gaps)
        assemble = encoded.assemble
        return answer if assemble is None else assemble(answer)

    def _last_moment(self) -> float:
        return max(self._due, time.monotonic() + GRACE)
