"""How far rounds are from each other, in steps as they usually are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dask_bacc.coding._typing import AnyArray, FloatArray, IndexArray
from dask_bacc.coding.arrays import as_array, is_foreign
from dask_bacc.coding.kriging.sketch import sketch
from dask_bacc.results.labels import read_labels
from dask_bacc.results.pytree import flatten

#: What the arguments of a round were, as far as they are numbers.
Sketched = tuple[AnyArray, ...]


def sketched(arguments: Any) -> Sketched | None:
    """Sketches of the arrays and numbers among arguments, in containers or not; None without any.

    Examples
    --------
    >>> sketched(([1.0, "x"], {"b": np.zeros(2)}))
    (array([1.]), array([0., 0.]))
    >>> sketched(("x",))
    """
    _, members = flatten(arguments)
    data = [m if read_labels(m) is None else m.data for m in members]
    return tuple(sketch(as_array(member)) for member in data if _is_numbers(member)) or None


def _is_numbers(member: Any) -> bool:
    if not isinstance(member, np.ndarray | np.generic | int | float | complex):
        return is_foreign(member)
    return np.asarray(member).dtype.kind in "fciub"


def steps_of_arguments(rounds: Sequence[Sketched]) -> FloatArray:
    """``(r, r)`` how far arguments of rounds are apart, over how far the last one moved.

    Every argument is measured by its own last step; those that do not move do not count.

    Parameters
    ----------
    rounds : sequence of r tuples of arrays
        Ascending in time, of the same shapes.

    Examples
    --------
    >>> steps_of_arguments([(np.array([0.0]),), (np.array([2.0]),), (np.array([3.0]),)])
    array([[0., 2., 3.],
           [2., 0., 1.],
           [3., 1., 0.]])
    """
    squares = np.zeros((len(rounds), len(rounds)))
    moving = 0
    for versions in zip(*rounds, strict=True):
        stacked = np.stack(versions)
        distance = np.linalg.norm(stacked[:, None] - stacked[None], axis=2)
        if unit := _last_step(distance):
            squares += (distance / unit) ** 2
            moving += 1
    steps: FloatArray = np.sqrt(squares / max(moving, 1))
    return steps


def steps_of_results(chunks: IndexArray, rounds: IndexArray, gram: FloatArray) -> FloatArray:
    """The same from how results of chunks that returned in two rounds differ.

    Rounds with no chunk in common are taken to be as many steps apart as there are between them.

    Parameters
    ----------
    chunks, rounds : (m,) ndarrays of int
        Of the results; rounds count from 0.
    gram : (m, m) ndarray
        Their inner products.

    Examples
    --------
    >>> results = np.array([0.0, 1.0, 4.0])
    >>> steps_of_results(np.zeros(3, int), np.arange(3), np.outer(results, results))
    array([[0.        , 0.33333333, 1.33333333],
           [0.33333333, 0.        , 1.        ],
           [1.33333333, 1.        , 0.        ]])
    """
    norms = np.diag(gram)
    squared = np.maximum(norms[:, None] + norms - 2 * gram, 0.0)
    same = chunks[:, None] == chunks
    count = int(rounds.max()) + 1
    member = rounds[:, None] == np.arange(count)
    pairs = member.T.astype(float) @ same @ member
    totals = member.T.astype(float) @ (same * squared) @ member
    distance = np.sqrt(totals / np.maximum(pairs, 1))
    between = np.abs(np.subtract.outer(np.arange(count), np.arange(count)))
    unit = _last_step(np.where(pairs > 0, distance, 0.0))
    steps: FloatArray = np.where(pairs > 0, distance / (unit or 1.0), between)
    return steps


def _last_step(distance: FloatArray) -> float:
    """The last distance between rounds that follow on each other and is not zero; 0 for none."""
    moved = np.diag(distance, 1)
    moved = moved[moved > 0]
    return float(moved[-1]) if len(moved) else 0.0
