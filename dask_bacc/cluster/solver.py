"""Decoding matrices of a run, kept up with the results as they arrive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dask_bacc.cluster.structure import FlatResult
from dask_bacc.coding import Code, Decoder, DecodingMatrix, decoding_matrix
from dask_bacc.coding._typing import AnyArray, FloatArray
from dask_bacc.coding.decode import count_outputs, power_of_two
from dask_bacc.coding.kriging.sketch import gram_of_sketches


@dataclass(frozen=True, eq=False)
class Solved:
    """How the results decode, leaf by leaf, and how well."""

    #: chunks that were used, ascending
    chunks: list[int]
    #: one for every leaf of the results
    matrices: list[DecodingMatrix]
    #: ``(k,)`` estimated RMS error of every block over the RMS value of the results, the worst
    #: over leaves; 0, inf and NaN as in `DecodingMatrix`
    error: FloatArray

    @property
    def overall(self) -> float:
        """RMS over blocks of the relative error; NaN if it is not estimated."""
        return float(np.sqrt(np.mean(self.error**2)))


class GrowingGram:
    """Inner products of arrays, grown by one row for each: nothing is multiplied twice.

    They are in units of a power of two, about the first array's largest value.

    Examples
    --------
    >>> gram = GrowingGram()
    >>> gram.add(np.array([1.0, 2.0]))
    >>> gram.add(np.array([4.0, 0.0]))
    >>> gram.matrix
    array([[0.3125, 0.25  ],
           [0.25  , 1.    ]])
    """

    def __init__(self) -> None:
        self._arrays: list[AnyArray] = []
        self._scale = 1.0
        self.matrix: FloatArray = np.zeros((0, 0))

    def add(self, array: AnyArray) -> None:
        """One more array, of the shape of the others."""
        flat = array.reshape(-1)
        if not self._arrays:
            self._scale = power_of_two(np.abs(flat).max(initial=0.0))
        # In double precision: rounded to single, it would not be positive semidefinite.
        flat = flat.astype(np.result_type(flat, np.float64), copy=False)
        self._arrays.append(flat)
        # Only the new array is scaled, by both factors, so that no scaled copies are kept.
        scaled = flat / self._scale / self._scale
        row = np.array([np.vdot(other, scaled).real for other in self._arrays])
        size = len(row)
        grown = np.zeros((size, size))
        grown[:-1, :-1] = self.matrix
        grown[-1], grown[:, -1] = row, row
        self.matrix = grown


class Solver:
    """Solves for the decoding matrices of the results that have come so far.

    Parameters
    ----------
    code, decoder
        Of the run.
    """

    def __init__(self, code: Code, decoder: Decoder) -> None:
        self._code = code
        self._decoder = decoder
        self._taken = 0
        self._grams: list[GrowingGram] = []

    def solve(
        self, results: dict[int, FlatResult], sketches: Mapping[int, Sequence[AnyArray]]
    ) -> Solved:
        """Solve with what is new among the results.

        Parameters
        ----------
        results : dict of int to FlatResult
            At least one, in order of arrival; those of earlier calls first.
        sketches : mapping of int to sequence of ndarrays
            Sketches of chunks, as `gram_of_sketches` takes them; empty if there are none.
        """
        code, decoder = self._code, self._decoder
        order = list(results)
        leaves = results[order[0]].leaves
        # Where every block's own result is in, nothing is estimated and nothing is multiplied.
        estimated = len(np.setdiff1d(np.arange(code.k), code.own_blocks[order])) > 0
        gram = None
        if estimated and decoder.uses_gram and sketches:
            gram = gram_of_sketches(code, sketches)
        inner: list[FloatArray | None] = [None] * len(leaves)
        if estimated and decoder.uses_results:
            self._grow(results)
            ascending = np.argsort(order)
            inner = [grown.matrix[np.ix_(ascending, ascending)] for grown in self._grams]
        matrices = []
        error = np.zeros(code.k)
        for array, products in zip(leaves, inner, strict=True):
            outputs = count_outputs(array)
            matrix = decoding_matrix(
                code, order, decoder, inner=products, outputs=outputs, gram=gram
            )
            size = 0.0
            if products is not None:
                size = np.sqrt(np.trace(products) / len(products) / outputs)
            error = np.maximum(error, matrix.error / size if size > 0 else matrix.error)
            matrices.append(matrix)
        return Solved(sorted(order), matrices, error)

    def _grow(self, results: dict[int, FlatResult]) -> None:
        """Take the results that are new into the inner products."""
        for result in list(results.values())[self._taken :]:
            if not self._grams:
                self._grams = [GrowingGram() for _ in result.leaves]
            for gram, leaf in zip(self._grams, result.leaves, strict=True):
                gram.add(leaf)
        self._taken = len(results)
