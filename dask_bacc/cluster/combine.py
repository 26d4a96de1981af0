"""From the results of a returned set to the answer the user asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from dask_bacc.cluster.solved import Solved
from dask_bacc.cluster.structure import FlatResult, rebuild
from dask_bacc.coding import DecodingMatrix
from dask_bacc.coding._typing import AnyArray, FloatArray
from dask_bacc.coding.arrays import all_finite, is_foreign, namespace, numpy_dtype
from dask_bacc.coding.linear import combine_rows, combined_rows, inexact_dtype
from dask_bacc.coding.rows import RowWeights, row_axis

Combine = Literal["concat", "stack", "sum", "mean"]


def check_combine(combine: str) -> None:
    """Refuse an unknown way to combine.

    Raises
    ------
    ValueError
    """
    if combine not in get_args(Combine):
        raise ValueError(f"unknown combine {combine!r}; use one of {', '.join(get_args(Combine))}")


def combine_results(
    solved: Solved,
    results: Mapping[int, FlatResult],
    combine: str,
    axis: int,
    dress: Callable[[AnyArray, str, int], Any] | None = None,
) -> Any:
    """Decode every leaf of the results and put the blocks' answers together.

    Parameters
    ----------
    solved : Solved
        The decoding matrices of the results; no block is lost.
    results : mapping of int to FlatResult
    combine : {"concat", "stack", "sum", "mean"}
    axis : int
        Axis of every leaf for ``"concat"``.
    dress : callable, optional
        ``dress(array, combine, k)`` gives an array of the answer its labels.

    Returns
    -------
    answer
        In the containers of the results.

    Raises
    ------
    ValueError
        If results have no such axis to concatenate along.
    OverflowError
        If the answer is too large for the dtype of the results.
    """
    answers: list[Any] = []
    for leaf, matrix in enumerate(solved.matrices):
        arrays = [results[i].leaves[leaf] for i in solved.chunks]
        with np.errstate(over="ignore"):  # checked below, with a clearer word
            answer = _combined(matrix, arrays, combine, axis)
        check_finite(answer)
        answers.append(answer if dress is None else dress(answer, combine, len(matrix.weights)))
    return rebuild(results[solved.chunks[0]].skeleton, answers)


def _combined(matrix: DecodingMatrix, arrays: list[AnyArray], combine: str, axis: int) -> AnyArray:
    weights, shape = matrix.weights, arrays[0].shape
    k = len(weights)
    if is_foreign(arrays[0]):
        return _combined_there(weights, arrays, combine, axis)
    dtype = inexact_dtype(np.result_type(*arrays))
    if combine in ("sum", "mean"):
        # A sum over blocks is one weighted sum of the results; no block's answer is formed.
        total = np.empty(shape, dtype=dtype)
        combine_rows(reducing_row(weights, combine)[None], arrays, [total])
        for part in matrix.rows:
            answers = np.empty((len(part.blocks), *shape), dtype=dtype)
            part.fill(list(answers), arrays, place_of_rows(shape, part, axis))
            total += answers.sum(axis=0) / (1 if combine == "sum" else k)
        return total
    if combine == "stack":
        whole = np.empty((k, *shape), dtype=dtype)
        parts = [whole[j, ...] for j in range(k)]
    else:
        axis = concat_axis(shape, axis)
        length = shape[axis]
        whole = np.empty((*shape[:axis], k * length, *shape[axis + 1 :]), dtype=dtype)
        before = (slice(None),) * axis
        parts = [whole[(*before, slice(j * length, (j + 1) * length))] for j in range(k)]
    combine_rows(weights, arrays, parts)
    for part in matrix.rows:
        part.fill([parts[j] for j in part.blocks], arrays, place_of_rows(shape, part, axis))
    return whole


def place_of_rows(shape: tuple[int, ...], weights: RowWeights, axis: int) -> int:
    """The axis of results along which rows with weights of their own lie."""
    found = row_axis(shape, weights.count, axis)
    assert found is not None  # or there would be no such weights
    return found


def _combined_there(
    weights: FloatArray, arrays: list[AnyArray], combine: str, axis: int
) -> AnyArray:
    """The same of another library's arrays, by its own functions."""
    if combine in ("sum", "mean"):
        weights = reducing_row(weights, combine)[None]
    elif combine == "concat":
        axis = concat_axis(arrays[0].shape, axis)
    answers = combined_rows(weights, arrays)
    xp = namespace(arrays[0])
    whole: AnyArray
    if combine in ("sum", "mean"):
        (whole,) = answers
    elif combine == "stack":
        whole = xp.stack(answers)
    else:
        whole = xp.concat(answers, axis=axis)
    return whole


def reducing_row(weights: FloatArray, combine: str) -> FloatArray:
    """The ``(m,)`` weights of the results in the sum or the mean over blocks."""
    row: FloatArray = weights.sum(axis=0)
    return row if combine == "sum" else row / len(weights)


def check_finite(answer: AnyArray) -> None:
    """Refuse an answer that is too large for its dtype.

    Raises
    ------
    OverflowError
    """
    if not all_finite(answer):
        raise OverflowError(f"the decoded answer overflows {numpy_dtype(answer)}")


def concat_axis(shape: tuple[int, ...], axis: int) -> int:
    """The non-negative axis along which results of this shape are concatenated.

    Raises
    ------
    ValueError
        If they have no such axis.
    """
    if not shape:
        raise ValueError(
            "scalar results cannot be concatenated; use combine='stack', 'sum' or 'mean'"
        )
    try:
        return int(normalize_axis_index(axis, len(shape)))
    except np.exceptions.AxisError:
        raise ValueError(
            f"results of shape {shape} have no axis {axis} to concatenate along; use "
            "combine='stack', 'sum' or 'mean'"
        ) from None
