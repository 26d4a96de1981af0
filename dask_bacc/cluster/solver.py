"""Decoding matrices of a run, kept up with the results as they arrive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dask_bacc.cluster.gram import GrowingGram
from dask_bacc.cluster.joining import Joining
from dask_bacc.cluster.result_rows import ResultRows
from dask_bacc.cluster.structure import FlatResult, Outline
from dask_bacc.coding import Code, Decoder, DecodingMatrix, decoding_matrix, needs_solving
from dask_bacc.coding._typing import AnyArray, FloatArray
from dask_bacc.coding.decode import count_outputs
from dask_bacc.coding.kriging.row_sketch import rows_of_sketches
from dask_bacc.coding.kriging.sketch import gram_of_sketches
from dask_bacc.coding.rows import Rows


@dataclass(frozen=True, eq=False)
class Solved:
    """How the results decode, leaf by leaf, and how well."""

    #: number of results that were looked at
    count: int
    #: chunks that were used, ascending
    chunks: list[int]
    #: one for every leaf of the results
    matrices: list[DecodingMatrix]
    #: ``(k,)`` estimated RMS error of every block over the RMS value of the results, members of a
    #: leaf weighed by their sizes, the worst over leaves; 0, inf and NaN as in `DecodingMatrix`
    error: FloatArray
    #: of the whole answer: RMS over blocks, or if they are added up at most this over the RMS
    #: value of the sum; NaN if it is not estimated
    overall: float
    #: covariances that explain the results best
    kernels: tuple[str, ...]
    #: RMS noise in the same unit as the error; 0 if the function is not found to be noisy
    noise: float
    #: chunks whose results look corrupted and were put aside, ascending
    suspects: tuple[int, ...]
    #: whether it depends on the results alone and not on the order of their arrival
    thorough: bool = False


class Solver:
    """Solves for the decoding matrices of the results that have come so far.

    Parameters
    ----------
    code, decoder
        Of the run.
    joining : Joining
        How the blocks' answers are put together.
    """

    def __init__(self, code: Code, decoder: Decoder, joining: Joining) -> None:
        self._code = code
        self._decoder = decoder
        self._lines = ResultRows(joining)
        self._reduced = joining.reduces
        self._grams: list[GrowingGram] = []
        self._taken: list[int] = []
        #: what the decoder left for its next call, for every leaf and group
        self._memories: dict[int, dict[int, dict[str, Any]]] = {}

    def solve(
        self,
        results: Mapping[int, Outline],
        sketches: Mapping[int, Sequence[AnyArray]],
        *,
        values: Mapping[int, FlatResult] | None = None,
        thorough: bool = False,
    ) -> Solved:
        """Solve with what is new among the results.

        Parameters
        ----------
        results : mapping of int to Outline
            At least one, in order of arrival; those of earlier calls first.
        sketches : mapping of int to sequence of ndarrays
            Sketches of chunks, as `gram_of_sketches` takes them; empty if there are none.
        values : mapping of int to FlatResult, optional
            All of the results themselves, to look at rows too.
        thorough : bool
            Whether to forget what earlier calls found, so that the order of arrival does not
            matter.
        """
        if thorough:
            self._memories.clear()
        afresh = not self._memories
        aside: tuple[int, ...] = ()
        while True:
            kept = [chunk for chunk in results if chunk not in aside]
            solved = self._solve_once(results, kept, sketches, values)
            if not solved.suspects:
                return replace(solved, count=len(results), suspects=aside, thorough=afresh)
            # A result that is corrupted in one leaf is not to be trusted in the others.
            aside = tuple(sorted((*aside, *solved.suspects)))

    def _solve_once(
        self,
        results: Mapping[int, Outline],
        kept: list[int],
        sketches: Mapping[int, Sequence[AnyArray]],
        values: Mapping[int, FlatResult] | None,
    ) -> Solved:
        code, decoder = self._code, self._decoder
        chunks = sorted(kept)
        leaves = results[kept[0]].sketches
        # Where every block's own result is in and no other, nothing is estimated and nothing is
        # multiplied.
        estimated = needs_solving(code, chunks, decoder)
        gram, unknown, lines = None, None, None
        if estimated and decoder.uses_gram and sketches:
            gram, unknown = gram_of_sketches(code, sketches)
            lines = None if values is None else rows_of_sketches(code, sketches)
        inner: list[FloatArray | None] = [None] * len(leaves)
        if estimated and decoder.uses_results:
            self._grow(results)
            place = {chunk: row for row, chunk in enumerate(self._taken)}
            places = [place[chunk] for chunk in chunks]
            inner = [grown.matrix[np.ix_(places, places)] for grown in self._grams]
        matrices = []
        error, noise, of_sum = np.zeros(code.k), 0.0, 0.0
        for leaf, (array, products) in enumerate(zip(leaves, inner, strict=True)):
            outputs = count_outputs(array)
            rows = None
            if lines is not None and values is not None:
                rows = self._lines.of(leaf, lines, values, chunks, self._grams[leaf].units)
            matrix = decoding_matrix(
                code,
                chunks,
                decoder,
                inner=products,
                outputs=outputs,
                gram=gram,
                unknown=unknown,
                rows=rows,
                memory=self._memories.setdefault(leaf, {}),
            )
            size = 0.0
            if products is not None:
                size = np.sqrt(np.trace(products) / len(products) / outputs)
            unit = size if size > 0 else 1.0
            error = np.maximum(error, matrix.error / unit)
            noise = max(noise, matrix.noise / unit)
            if self._reduced:
                of_sum = np.maximum(of_sum, _error_of_sum(matrix, products, outputs, rows))
            matrices.append(matrix)
        kernels = {kernel for matrix in matrices for kernel in matrix.kernels}
        suspects = {chunk for matrix in matrices for chunk in matrix.suspects}
        return Solved(
            len(results),
            chunks,
            matrices,
            error,
            float(of_sum if self._reduced else np.sqrt(np.mean(error**2))),
            tuple(sorted(kernels)),
            noise,
            tuple(sorted(suspects)),
        )

    def _grow(self, results: Mapping[int, Outline]) -> None:
        """Take the results that are new into the inner products."""
        for chunk, result in list(results.items())[len(self._taken) :]:
            if not self._grams:
                self._grams = [GrowingGram() for _ in result.sketches]
            for gram, leaf in zip(self._grams, result.sketches, strict=True):
                gram.add(leaf)
            self._taken.append(chunk)


def _error_of_sum(
    matrix: DecodingMatrix, products: FloatArray | None, outputs: int, rows: Rows | None
) -> float:
    """Error of the blocks' sum over its RMS value, at most: errors may all have one sign."""
    error = float(matrix.error.sum())
    if products is None or not error > 0:
        return error
    row = matrix.weights.sum(axis=0)
    square = float(row @ products @ row) / outputs
    if matrix.rows and rows is not None:
        total = np.tensordot(row, rows.results, 1)
        for part in matrix.rows:
            answers = np.empty((len(part.blocks), *total.shape))
            part.fill(list(answers), list(rows.results), axis=0)
            total += answers.sum(axis=0)
        square = float((total**2).sum()) / outputs
    return error / np.sqrt(square) if square > 0 else np.inf
