"""From the results of a returned set to the answer the user asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dask_bacc.coding import DecodingMatrix
from dask_bacc.coding._typing import AnyArray, FloatArray
from dask_bacc.coding.arrays import all_finite, is_foreign, namespace, numpy_dtype
from dask_bacc.coding.linear import answer_dtype, combine_rows, combined_rows, mixed_dtype
from dask_bacc.coding.rows import RowWeights, row_axis
from dask_bacc.results.gaps import BlockGaps, gaps_of_answer
from dask_bacc.results.joining import Joining
from dask_bacc.results.labels import Label
from dask_bacc.results.pytree import unflatten
from dask_bacc.results.result import FlatResult, Leaf, join_axes
from dask_bacc.results.solved import Solved


def combine_results(
    solved: Solved,
    results: Mapping[int, FlatResult],
    joining: Joining,
    label: Label | None = None,
    gaps: BlockGaps | None = None,
) -> Any:
    """Decode every leaf of the results and put the blocks' answers together.

    Parameters
    ----------
    solved : Solved
        The decoding matrices of the results; no block is lost.
    results : mapping of int to FlatResult
    joining : Joining
    label : callable, optional
        Gives arrays of the answer their labels.
    gaps : sequence of sequences of bool ndarrays, optional
        Where blocks had NaN before they were filled.

    Returns
    -------
    answer
        In the containers of the results; a list of them, one for each block, if they are to be
        listed.

    Raises
    ------
    ValueError
        If results have no such axis to concatenate along.
    OverflowError
        If the answer is too large for the dtype of the results.
    """
    fresh = [results[chunk] for chunk in solved.chunks]
    found = fresh + [past.result for past in solved.earlier if past.result is not None]
    if joining.combine == "list":
        (matrix,) = solved.matrices
        return [found[place].whole for place in matrix.weights.argmax(axis=1)]
    layout = found[0].layout
    finite = all(result.finite for result in found)
    answers: dict[int, Any] = {}
    axes = join_axes(layout, joining)
    for number, (leaf, matrix) in enumerate(zip(layout.leaves, solved.matrices, strict=True)):
        arrays = [result.leaves[number] for result in found]
        dtypes = member_dtypes(matrix.weights, leaf.members, [r.dtypes for r in found])
        axis = axes[number]
        with np.errstate(over="ignore", invalid="ignore"):  # checked below, with a clearer word
            whole = _combined(leaf, matrix, arrays, np.result_type(*set(dtypes)), joining, axis)
        if finite:
            check_finite(whole)
        for place, (member, dtype) in enumerate(zip(leaf.members, dtypes, strict=True)):
            answer = narrowed(whole[place, ...], dtype, finite=finite)
            if gaps is not None:
                answer[gaps_of_answer(leaf.shape, axis, gaps, joining)] = np.nan
            own = None if leaf.dims is None else [r.labels[member] for r in fresh]
            if label is None and own is not None:
                # Nobody has needed xarray here so far.
                from dask_bacc.results.labelled import Labels

                label = Labels().label
            if label is not None:
                answer = label(answer, joining.combine, len(matrix.weights), axis, own)
            answers[member] = answer
    return unflatten(layout.treedef, [answers[member] for member in range(len(answers))])


def member_dtypes(
    weights: FloatArray,
    members: Sequence[int],
    dtypes: Sequence[tuple[np.dtype[np.generic], ...]],
) -> list[np.dtype[np.generic]]:
    """The dtypes that members of a leaf have in the answer, each as if it were alone.

    Parameters
    ----------
    weights : (k, m) ndarray
        Of the results in the blocks.
    members : sequence of int
    dtypes : sequence of m tuples
        The dtypes of all members of every result.
    """
    # Results have the same dtypes as a rule, and members few of them.
    kinds = list(dict.fromkeys(dtypes))
    places = [kinds.index(of_result) for of_result in dtypes]
    known: dict[tuple[np.dtype[np.generic], ...], np.dtype[np.generic]] = {}
    found = []
    for member in members:
        key = tuple(kind[member] for kind in kinds)
        if key not in known:
            known[key] = answer_dtype(weights, [key[place] for place in places])
        found.append(known[key])
    return found


def narrowed(array: AnyArray, dtype: np.dtype[np.generic], *, finite: bool = True) -> AnyArray:
    """A member of a leaf in its own dtype, which that of the leaf can hold.

    Parameters
    ----------
    array : array
    dtype : dtype
    finite : bool
        Whether results were, so that the answer has to be.

    Raises
    ------
    OverflowError
        If it is too large for that.
    """
    known = numpy_dtype(array)
    if known == dtype:
        return array
    if known.kind == "c" and dtype.kind != "c":
        array = array.real
    with np.errstate(over="ignore"):
        narrow = array.astype(dtype)
    if finite:
        check_finite(narrow)
    return narrow


def _combined(
    leaf: Leaf,
    matrix: DecodingMatrix,
    arrays: list[AnyArray],
    dtype: np.dtype[np.generic],
    joining: Joining,
    axis: int | None,
) -> AnyArray:
    """The answer of a leaf, its members along the first axis."""
    weights, shape = matrix.weights, arrays[0].shape
    k = len(weights)
    if is_foreign(arrays[0]):
        return _combined_there(weights, arrays, dtype, joining, axis)
    if joining.reduces:
        # A sum over blocks is one weighted sum of the results; no block's answer is formed.
        total = np.empty(shape, mixed_dtype(dtype))
        combine_rows(reducing_row(weights, joining.combine)[None], arrays, [total])
        for part in matrix.rows:
            answers = np.empty((len(part.blocks), *shape), total.dtype)
            part.fill(list(answers), arrays, place_of_rows(leaf, part, joining))
            total += answers.sum(axis=0) / (1 if joining.combine == "sum" else k)
        return total.astype(dtype, copy=False)
    if axis is None:
        whole = np.empty((shape[0], k, *shape[1:]), dtype=dtype)
        parts = [whole[:, j, ...] for j in range(k)]
    else:
        place = axis + 1
        length = shape[place]
        whole = np.empty((*shape[:place], k * length, *shape[place + 1 :]), dtype=dtype)
        before = (slice(None),) * place
        parts = [whole[(*before, slice(j * length, (j + 1) * length))] for j in range(k)]
    combine_rows(weights, arrays, parts)
    for part in matrix.rows:
        part.fill([parts[j] for j in part.blocks], arrays, place_of_rows(leaf, part, joining))
    return whole


def place_of_rows(leaf: Leaf, weights: RowWeights, joining: Joining) -> int:
    """The axis of a leaf's array along which rows with weights of their own lie."""
    found = row_axis(leaf.shape, weights.count, joining.likely_rows(leaf.shape, leaf.dims))
    assert found is not None  # or there would be no such weights
    return found + 1


def _combined_there(
    weights: FloatArray,
    arrays: list[AnyArray],
    dtype: np.dtype[np.generic],
    joining: Joining,
    axis: int | None,
) -> AnyArray:
    """The same of another library's arrays, by its own functions."""
    rows = reducing_row(weights, joining.combine)[None] if joining.reduces else weights
    answers = combined_rows(rows, arrays, dtype)
    xp = namespace(arrays[0])
    whole: AnyArray
    if joining.reduces:
        (whole,) = answers
    elif axis is None:
        whole = xp.stack(answers, axis=1)
    else:
        whole = xp.concat(answers, axis=axis + 1)
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
