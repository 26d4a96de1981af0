"""How each leaf of the results decodes, and how well all of them do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dask_bacc.coding import DecodingMatrix
from dask_bacc.coding._typing import FloatArray
from dask_bacc.coding.rows import Rows
from dask_bacc.records.estimate import ErrorEstimate


class SolvedLeaf(NamedTuple):
    """How a leaf decodes."""

    matrix: DecodingMatrix
    #: RMS value of its results; 1 if they are all zero or nothing is known of them
    unit: float
    #: error of the blocks' sum over its RMS value; 0 unless blocks are added up
    of_sum: float

    @property
    def overall(self) -> float:
        """RMS error of the blocks, in that unit."""
        return self.matrix.rms_error / self.unit


def rms(products: FloatArray | None, outputs: int) -> float:
    """RMS value of results with these inner products, 1 if there is none."""
    size = 0.0
    if products is not None:
        size = float(np.sqrt(np.trace(products) / len(products) / outputs))
    return size if size > 0 else 1.0


def worst(
    k: int, leaves: Sequence[SolvedLeaf], names: Sequence[str], *, reduced: bool
) -> ErrorEstimate:
    """The estimate for all leaves, each in its own unit."""
    matrices = [leaf.matrix for leaf in leaves]
    # A NaN says that an error is not known, and stays.
    error = np.maximum.reduce([np.zeros(k), *(leaf.matrix.error / leaf.unit for leaf in leaves)])
    overall = np.sqrt(np.mean(error**2))
    if reduced:
        overall = np.maximum.reduce([0.0, *(leaf.of_sum for leaf in leaves)])
    errors = [leaf.of_sum if reduced else leaf.overall for leaf in leaves]
    return ErrorEstimate(
        overall=float(overall),
        by_block=error,
        by_leaf=tuple(zip(names, errors, strict=True)),
        kernels=tuple(sorted({kernel for matrix in matrices for kernel in matrix.kernels})),
        noise=max((leaf.matrix.noise / leaf.unit for leaf in leaves), default=0.0),
        suspects=tuple(sorted({chunk for matrix in matrices for chunk in matrix.suspects})),
        alike=max((leaf.matrix.alike / leaf.unit for leaf in leaves), default=0.0),
    )


def error_of_sum(
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
