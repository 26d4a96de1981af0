"""Decoding matrices of a run, kept up with the results as they arrive."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dask_bacc.cluster.structure import FlatResult
from dask_bacc.coding import Code, Decoder, DecodingMatrix, decoding_matrix
from dask_bacc.coding._typing import AnyArray, FloatArray
from dask_bacc.coding.decode import count_outputs, power_of_two


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
        flat = flat.astype(np.result_type(flat, np.float64), copy=False) / self._scale
        self._arrays.append(flat)
        row = np.array([np.vdot(other, flat).real for other in self._arrays])
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
        self._order: list[int] = []
        self._grams: list[GrowingGram] = []

    def solve(self, results: dict[int, FlatResult], gram: FloatArray | None) -> Solved:
        """Take in the results that are new and solve.

        Parameters
        ----------
        results : dict of int to FlatResult
            At least one, in order of arrival; those of earlier calls first.
        gram : (k, k) ndarray, optional
            Inner products of the blocks.
        """
        for chunk in list(results)[len(self._order) :]:
            self._take(chunk, results[chunk])
        ascending = np.argsort(self._order)
        matrices = []
        error = np.zeros(self._code.k)
        for leaf, array in enumerate(results[self._order[0]].leaves):
            inner = None
            if self._decoder.uses_results:
                inner = self._grams[leaf].matrix[np.ix_(ascending, ascending)]
            outputs = count_outputs(array)
            matrix = decoding_matrix(
                self._code, self._order, self._decoder, inner=inner, outputs=outputs, gram=gram
            )
            size = 0.0 if inner is None else np.sqrt(np.trace(inner) / len(inner) / outputs)
            error = np.maximum(error, matrix.error / size if size > 0 else matrix.error)
            matrices.append(matrix)
        return Solved(sorted(self._order), matrices, error)

    def _take(self, chunk: int, result: FlatResult) -> None:
        self._order.append(chunk)
        if self._decoder.uses_results:
            if not self._grams:
                self._grams = [GrowingGram() for _ in result.leaves]
            for gram, leaf in zip(self._grams, result.leaves, strict=True):
                gram.add(leaf)
