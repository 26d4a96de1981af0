"""Decoding matrices of a run, kept up with the results as they arrive."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from dask_bacc.coding import Code, Decoder, decoding_matrix, needs_solving
from dask_bacc.coding._typing import AnyArray, FloatArray
from dask_bacc.coding.arrays import sample_step
from dask_bacc.coding.decode import count_outputs
from dask_bacc.coding.kriging.rows.sketch import rows_of_sketches
from dask_bacc.coding.kriging.sketch import locate
from dask_bacc.coding.linear import rounding
from dask_bacc.coding.located import Located
from dask_bacc.coding.patience import out_of_time, search_until
from dask_bacc.coding.rows import as_rows
from dask_bacc.coding.threads import one_thread
from dask_bacc.results.gram import GrowingGram
from dask_bacc.results.joining import Joining
from dask_bacc.results.leaves import SolvedLeaf, error_of_sum, rms, worst
from dask_bacc.results.memory import Earlier, Past
from dask_bacc.results.remembering import Remembering
from dask_bacc.results.result import FlatResult, ResultSpec
from dask_bacc.results.rows import ResultRows
from dask_bacc.results.solved import Solved


class Solver:
    """Solves for the decoding matrices of the results that have come so far.

    Parameters
    ----------
    code, decoder
        Of the run.
    joining : Joining
        How the blocks' answers are put together.
    rounding : float
        Share of their size to which mixed chunks are rounded.
    replace : bool
        Whether results that look corrupted are put aside.
    earlier : Earlier, optional
        What earlier rounds over the same chunks have left.
    """

    def __init__(
        self,
        code: Code,
        decoder: Decoder,
        joining: Joining,
        *,
        rounding: float = 0.0,
        replace: bool = False,
        earlier: Earlier | None = None,
    ) -> None:
        self._rounding = rounding
        self._replace = replace
        self._code = code
        self._decoder = decoder
        self._lines = ResultRows(joining)
        self._reduced = joining.reduces
        self._grams: list[GrowingGram] = []
        self._taken: list[int] = []
        #: where the members of every leaf are
        self._names: list[str] = []
        #: share of their size to which the coarsest of these results are rounded
        self._coarsest = 0.0
        #: the chunks whose sketches say where blocks are, and what they say
        self._located: tuple[frozenset[int], Located] | None = None
        #: what the decoder left for its next call, for every leaf and group
        self._memories: dict[int, dict[int, dict[str, Any]]] = {}
        self._remembering = None
        if earlier is not None and (earlier.past or joining.reduces):
            self._remembering = Remembering(code, earlier, reduced=joining.reduces)

    def solve(
        self,
        results: Mapping[int, ResultSpec],
        sketches: Mapping[int, Sequence[AnyArray]],
        *,
        values: Mapping[int, FlatResult] | None = None,
        thorough: bool = False,
        until: float = math.inf,
    ) -> Solved:
        """Solve with what is new among the results.

        Parameters
        ----------
        results : mapping of int to ResultSpec
            At least one, in order of arrival; those of earlier calls first.
        sketches : mapping of int to sequence of ndarrays
            Sketches of chunks, as `locate` takes them; empty if there are none.
        values : mapping of int to FlatResult, optional
            All of the results themselves, to look at rows too.
        thorough : bool
            Whether to forget what earlier calls found, so that the order of arrival does not
            matter.
        until : float
            When searches have to end, on the monotonic clock.
        """
        with one_thread(), search_until(until):
            return self._solve(results, sketches, values, thorough)

    def better(self, solved: Solved, before: Solved) -> Solved:
        """The one with the smaller error, of a solution and one that was made of fewer results."""
        if self._reduced or solved.estimate.suspects:
            return solved
        if not before.estimate.overall < solved.estimate.overall:
            return solved
        if not set(before.chunks) <= set(solved.chunks):
            return solved
        extended = before.extended(self._code, solved.chunks, solved.count)
        return extended if extended.estimate.overall < solved.estimate.overall else solved

    def _solve(
        self,
        results: Mapping[int, ResultSpec],
        sketches: Mapping[int, Sequence[AnyArray]],
        values: Mapping[int, FlatResult] | None,
        thorough: bool,
    ) -> Solved:
        if thorough:
            self._memories.clear()
        afresh = not self._memories
        aside: tuple[int, ...] = ()
        # A block's NaN tells nothing of the others.
        finite = [chunk for chunk, result in results.items() if result.finite]
        odd = len(finite) < len(results)
        if odd and not (finite and needs_solving(self._code, results, self._decoder)):
            leaves = len(next(iter(results.values())).sketches)
            return Solved.of_own(self._code, list(results), leaves)
        while True:
            kept = [chunk for chunk in finite if chunk not in aside]
            solved = self._solve_once(results, kept, sketches, values, afresh)
            suspects = solved.estimate.suspects
            if not suspects or not self._replace:
                estimate = replace(solved.estimate, suspects=aside or suspects)
                # A search that was broken off may have ended elsewhere.
                thorough = afresh and not out_of_time()
                solved = replace(solved, count=len(results), estimate=estimate, thorough=thorough)
                return self._with_odd(solved, sorted(set(results).difference(aside)), odd)
            # A result that is corrupted in one leaf is not to be trusted in the others.
            aside = tuple(sorted((*aside, *suspects)))

    def _with_odd(self, solved: Solved, chunks: list[int], odd: bool) -> Solved:
        """The same with results that have NaN or infinity for the blocks whose own they are."""
        if not odd:
            return solved
        extended = solved.extended(self._code, chunks, solved.count)
        if self._reduced and extended.estimate.by_block.any():
            # Of a sum that is NaN in places, nobody knows the size.
            extended = replace(extended, estimate=replace(extended.estimate, overall=math.nan))
        return replace(extended, thorough=solved.thorough)

    def _solve_once(
        self,
        results: Mapping[int, ResultSpec],
        kept: list[int],
        sketches: Mapping[int, Sequence[AnyArray]],
        values: Mapping[int, FlatResult] | None,
        afresh: bool,
    ) -> Solved:
        code, decoder = self._code, self._decoder
        chunks = sorted(kept)
        leaves = results[kept[0]].sketches
        # The same for all results, which may have thousands of members.
        self._names = self._names or results[kept[0]].layout.names()
        # Where every block's own result is in and no other, nothing is estimated and nothing is
        # multiplied.
        estimated = needs_solving(code, chunks, decoder)
        located, lines = None, None
        if estimated and decoder.uses_gram and sketches:
            located = self._where(sketches)
            lines = None if values is None else rows_of_sketches(code, sketches)
        inner: list[FloatArray | None] = [None] * len(leaves)
        if estimated and decoder.uses_results:
            self._grow(results)
            place = {chunk: row for row, chunk in enumerate(self._taken)}
            places = [place[chunk] for chunk in chunks]
            inner = [grown.matrix[np.ix_(places, places)] for grown in self._grams]
        solved = []
        for leaf, (array, products) in enumerate(zip(leaves, inner, strict=True)):
            rows, known = None, None
            if products is not None:
                known = _values([results[i] for i in chunks], leaf, self._grams[leaf], places)
            if lines is not None and values is not None:
                rows = self._lines.of(leaf, lines, values, chunks, self._grams[leaf].units)
            outputs = count_outputs(array)
            matrix = decoding_matrix(
                code,
                chunks,
                decoder,
                inner=products,
                outputs=outputs,
                located=located,
                rows=rows,
                values=known,
                rounding=self._coarsest,
                replace=self._replace,
                memory=self._memories.setdefault(leaf, {}),
            )
            of_sum = 0.0
            if self._reduced:
                of_sum = error_of_sum(matrix, products, outputs, rows)
            solved.append(SolvedLeaf(matrix, rms(products, outputs), of_sum))
        if self._remembering is not None and located is not None:
            better = self._remembering.improved(solved, results, chunks, located, search=afresh)
            if better is not None:
                return self._solved(better, len(results), chunks, self._remembering)
        return self._solved(solved, len(results), chunks)

    def _solved(
        self,
        leaves: Sequence[SolvedLeaf],
        count: int,
        chunks: list[int],
        remembering: Remembering | None = None,
    ) -> Solved:
        """All leaves together."""
        estimate = worst(self._code.k, leaves, self._names, reduced=self._reduced)
        past: tuple[Past, ...] = ()
        if remembering is not None and (past := remembering.past):
            estimate = replace(estimate, remembered=remembering.ages(estimate.by_block > 0))
        units = tuple(leaf.unit for leaf in leaves)
        matrices = [leaf.matrix for leaf in leaves]
        return Solved(count, chunks, matrices, estimate, units, earlier=past)

    def _where(self, sketches: Mapping[int, Sequence[AnyArray]]) -> Located:
        """Where the blocks lie, which takes milliseconds of large ones, and once will do."""
        chunks = frozenset(sketches)
        if self._located is None or self._located[0] != chunks:
            self._located = chunks, locate(self._code, sketches, self._rounding)
        return self._located[1]

    def _grow(self, results: Mapping[int, ResultSpec]) -> None:
        """Take the results that are new into the inner products."""
        for chunk, result in list(results.items())[len(self._taken) :]:
            if not self._grams:
                self._grams = [GrowingGram() for _ in result.sketches]
            for gram, leaf in zip(self._grams, result.sketches, strict=True):
                gram.add(leaf)
            self._coarsest = max(self._coarsest, rounding(result.dtypes))
            self._taken.append(chunk)


def _values(
    results: Sequence[ResultSpec], leaf: int, grown: GrowingGram, places: Sequence[int]
) -> FloatArray:
    """``(m, s)`` some numbers of a leaf of results at these places, in the units of the gram."""
    samples = [array for result in results if (array := result.samples[leaf]) is not None]
    if samples:
        members = len(grown.units)
        size = math.prod(results[0].layout.leaves[leaf].shape) * members
        units = grown.units[np.arange(0, size, sample_step(size)) * members // size]
        return as_rows(np.stack(samples) / units, 0)
    values = grown.values
    return values[places, :: sample_step(values.shape[1])]
