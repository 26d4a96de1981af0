"""From the results of a returned set to the answer the user asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from dask_bacc.cluster.structure import FlatResult, rebuild
from dask_bacc.coding import Code, Decoder, decoding_matrix
from dask_bacc.coding._typing import AnyArray, FloatArray
from dask_bacc.coding.linear import combine_rows, inexact_dtype

Combine = Literal["concat", "stack", "sum", "mean"]


def check_combine(combine: str) -> None:
    """Refuse an unknown way to combine.

    Raises
    ------
    ValueError
    """
    if combine not in get_args(Combine):
        raise ValueError(f"unknown combine {combine!r}; use one of {', '.join(get_args(Combine))}")


def decode_results(
    code: Code,
    decoder: Decoder,
    results: Mapping[int, FlatResult],
    combine: str,
    axis: int,
    dress: Callable[[AnyArray, str, int], Any] | None = None,
    gram: FloatArray | None = None,
) -> tuple[Any, FloatArray]:
    """Decode every leaf of the results and put the blocks' answers together.

    Parameters
    ----------
    code, decoder
        Of the run.
    results : mapping of int to FlatResult
        The returned set, at least one; all of one structure.
    combine : {"concat", "stack", "sum", "mean"}
    axis : int
        Axis of every leaf for ``"concat"``.
    dress : callable, optional
        ``dress(array, combine, k)`` gives an array of the answer its labels.
    gram : (k, k) ndarray, optional
        Inner products of the blocks.

    Returns
    -------
    answer
        In the containers of the results; None if a block is lost.
    error : (k,) ndarray of float64
        Estimated RMS error of every block over the RMS value of the results, the worst over
        leaves.

    Raises
    ------
    ValueError
        If results have no such axis to concatenate along.
    """
    order = sorted(results)
    answers: list[Any] = []
    error = np.zeros(code.k)
    for leaf in range(len(results[order[0]].leaves)):
        arrays = {i: results[i].leaves[leaf] for i in order}
        matrix = decoding_matrix(code, arrays, decoder, gram)
        error = np.maximum(error, _relative(matrix.error, list(arrays.values())))
        if np.isinf(matrix.error).any():
            return None, error
        answer = _combined(matrix.weights, list(arrays.values()), combine, axis)
        answers.append(answer if dress is None else dress(answer, combine, code.k))
    return rebuild(results[order[0]].skeleton, answers), error


def _relative(error: FloatArray, arrays: list[AnyArray]) -> FloatArray:
    """Errors in units of the results' RMS value; those of zero results stay as they are."""
    squares = [np.mean(np.abs(array, dtype=np.float64) ** 2) for array in arrays if array.size]
    size = float(np.sqrt(np.mean(squares))) if squares else 0.0
    return error / size if size > 0 else error


def _combined(weights: FloatArray, arrays: list[AnyArray], combine: str, axis: int) -> AnyArray:
    k = len(weights)
    shape = arrays[0].shape
    dtype = inexact_dtype(np.result_type(*arrays))
    if combine in ("sum", "mean"):
        # A sum over blocks is one weighted sum of the results; no block's answer is formed.
        total = np.empty(shape, dtype=dtype)
        row = weights.sum(axis=0, keepdims=True)
        combine_rows(row if combine == "sum" else row / k, arrays, [total])
        return total
    if combine == "stack":
        stacked = np.empty((k, *shape), dtype=dtype)
        combine_rows(weights, arrays, [stacked[j, ...] for j in range(k)])
        return stacked
    if not shape:
        raise ValueError(
            "scalar results cannot be concatenated; use combine='stack', 'sum' or 'mean'"
        )
    try:
        axis = normalize_axis_index(axis, len(shape))
    except np.exceptions.AxisError:
        raise ValueError(
            f"results of shape {shape} have no axis {axis} to concatenate along; use "
            "combine='stack', 'sum' or 'mean'"
        ) from None
    length = shape[axis]
    whole = np.empty((*shape[:axis], k * length, *shape[axis + 1 :]), dtype=dtype)
    before = (slice(None),) * axis
    parts = [whole[(*before, slice(j * length, (j + 1) * length))] for j in range(k)]
    combine_rows(weights, arrays, parts)
    return whole
