"""Kriging of functions that treat the rows of a block one by one: every row is a point."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from dask_bacc.coding._typing import FloatArray, IndexArray
from dask_bacc.coding.kriging.conditioned import (
    TINY,
    local_variance,
    steepness_outside,
)
from dask_bacc.coding.kriging.fit import LARGEST
from dask_bacc.coding.kriging.fitted import FEWEST
from dask_bacc.coding.kriging.kernels import Geometry, is_far
from dask_bacc.coding.kriging.rows.metric import Stretched, fit_stretched
from dask_bacc.coding.kriging.rows.prediction import predict_rows
from dask_bacc.coding.kriging.sketch import sketch_each
from dask_bacc.coding.patience import out_of_time
from dask_bacc.coding.rows import Rows, RowWeights

#: Rows of results that are solved for at once, at most, but for one row of each. Rows say most of
#: those at the same place in other chunks, which are made of the same rows of blocks.
BATCH = 640
#: Times that batches grow with the cube of their size: where there are many rows they are smaller,
#: so that all together do not take seconds.
WORK = 2e9
#: Numbers of a row of results, of more of which random combinations are as good: a prime.
COLUMNS = 127
#: Lost rows that say whether what a finite family is asked for is known.
ASKED = 16
#: Results that are left out must be predicted with an error smaller by this factor, of all
#: together and of most by themselves, or rows are not taken for points.
CLEARLY = 0.9
#: Errors of left-out results, over the RMS value of all, that are next to nothing: what rounding
#: leaves of a covariance with hardly any nugget.
EXACT = 1e-6
#: Of local variances, as for blocks; with so many rows the nearest tell more than all together.
COMMON, LEAST = 2.0, 0.05
#: By how much variances are widened, over the fourth power of the number of results: so few say
#: little of how much blocks differ.
WIDENING = 600.0
#: Share of the mean squared distance below which rows are in the same place.
SAME = 1e-9


@dataclass(frozen=True, eq=False)
class ByRows:
    """Answers for lost blocks from rows as points."""

    weights: RowWeights
    #: variance of each block's answer, mean over outputs
    variance: FloatArray
    #: what it was made with
    fit: Stretched


def krige_rows(
    rows: Rows,
    generator: FloatArray,
    lost: IndexArray,
    by_blocks: FloatArray,
    blur: FloatArray,
    rounding: float,
    previous: Stretched | None,
) -> ByRows | None:
    """Answers for lost blocks if rows are better taken for points than blocks.

    That a function treats rows one by one is not taken for granted: every result is predicted from
    the others either way, and rows must have been clearly better.

    Parameters
    ----------
    rows : Rows
        All of the `k` blocks, and of `m` results at points that differ.
    generator : (m, k) ndarray
        Of their chunks.
    lost : (l,) ndarray of int
        Blocks to answer for, at least one.
    by_blocks : (m,) ndarray
        Squared error of every result as predicted from the others, blocks being the points; sum
        over outputs.
    blur : (l,) ndarray
        Squared distances by which the lost blocks may be elsewhere, in units of an RMS block.
    rounding : float
        Share of their size to which results are rounded.
    previous : Stretched, optional
        Fitted to fewer results of the same function.

    Returns
    -------
    ByRows or None
        With positions among the blocks and the results. None too if there is no time.
    """
    m, count = len(generator), rows.count
    if m < FEWEST:
        return None
    if by_blocks.sum() <= EXACT**2 * float((rows.results**2).sum()):
        return None
    columns = rows.results.shape[2]
    if columns > COLUMNS:
        flat = sketch_each(rows.results.reshape(m * count, columns), COLUMNS)
        rows = replace(rows, results=flat.reshape(m, count, COLUMNS))
    points = _points(rows, generator, lost)
    fit = _fit(points, rows.results, len(lost), previous)
    points = fit.of(points)
    ensemble = fit.fitted.ensemble
    squared = np.zeros(m)
    variance = np.zeros((len(lost), count))
    batches = []
    for part in _batches(count, m):
        if out_of_time():
            return None
        size = part.stop - part.start
        geometry = Geometry.of(points[:, part].reshape(-1, points.shape[2]))
        values = rows.results[:, part].reshape(m * size, -1)
        found = predict_rows(ensemble, geometry, values, m, blur)
        of_rows = (found.left_out**2).sum(axis=1)
        squared += of_rows.reshape(m, -1).sum(axis=1)
        unforeseen = of_rows / np.maximum(found.expected, TINY)
        if ensemble.best.family.finite:
            # That the rest of them are exact tells nothing of what no result says.
            unforeseen = np.maximum(unforeseen, 1.0)
        local = local_variance(
            _closeness(geometry, m * size), unforeseen, ensemble.effective_outputs, COMMON, LEAST
        )
        asked = len(lost) * size
        there, given = np.arange(asked), np.arange(asked, asked + m * size)
        outside = steepness_outside(
            geometry.between(there, given),
            geometry.among(there),
            geometry.among(given),
        )
        rounded = rounding**2 / 4 * float((values**2).mean())
        left = np.maximum(local, outside @ unforeseen) * found.variance
        left += rounded * (1 + (found.weights**2).sum(axis=1)) + found.moved
        variance[:, part] = left.reshape(-1, size)
        batches.append((part, found.weights))
    if not _are_better(squared, by_blocks):
        return None
    # Hyper-parameters are as uncertain as those of so many rows let them be.
    fitted_rows = fit.fitted.observations.count / m
    widening = 1 + 2 / (ensemble.effective_outputs * fitted_rows) + WIDENING / m**4
    return ByRows(
        RowWeights(lost, np.arange(m), tuple(batches)),
        widening * variance.mean(axis=1) * rows.results.shape[2] / columns,
        fit,
    )


def _points(rows: Rows, generator: FloatArray, lost: IndexArray) -> FloatArray:
    """``(l + m, r, d)`` rows of the lost blocks, then of the chunks; of an RMS norm of one."""
    flat = rows.blocks.reshape(-1, rows.blocks.shape[2])
    mean = flat.mean(axis=0)
    square, spread = float(mean @ mean), float(((flat - mean) ** 2).sum(axis=1).mean())
    blocks = rows.blocks - mean if is_far(square, spread) else rows.blocks
    size = float((blocks**2).sum(axis=2).mean())
    blocks = blocks / np.sqrt(size if size > 0 else 1.0)
    # Rows of the generator sum to one, so all points move alike.
    return np.concatenate([blocks[lost], np.tensordot(generator, blocks, 1)])


def _fit(
    points: FloatArray, results: FloatArray, lost: int, previous: Stretched | None
) -> Stretched:
    """Fitted to rows of all results, evenly spaced where there are many."""
    asked, given = (part.reshape(-1, points.shape[2]) for part in (points[:lost], points[lost:]))
    chosen = _spaced(len(given), LARGEST)
    values = results.reshape(len(given), -1)[chosen]
    return fit_stretched(asked[_spaced(len(asked), ASKED)], given[chosen], values, previous)


def _spaced(count: int, most: int) -> IndexArray:
    return np.linspace(0, count - 1, min(count, most)).astype(np.intp)


def _batches(rows: int, results: int) -> Iterator[slice]:
    """Parts of the rows, about equally long."""
    size = min(BATCH, np.sqrt(WORK / (rows * results)))
    count = min(int(np.ceil(rows * results / size)), rows)
    edges = [rows * i // count for i in range(count + 1)]
    return (slice(*edges[i : i + 2]) for i in range(count))


def _closeness(geometry: Geometry, given: int) -> FloatArray:
    """How much the rows of the results, which come last, tell of how steep it is at lost rows."""
    distance = geometry.squared_distance[:-given, -given:]
    distance = np.maximum(distance, SAME * distance.mean() + TINY)
    closeness: FloatArray = (distance.min(axis=1, keepdims=True) / distance) ** 2
    return closeness


def _are_better(by_rows: FloatArray, by_blocks: FloatArray) -> bool:
    """Whether left-out results are predicted clearly better, all together and most of them."""
    if not by_rows.sum() < CLEARLY**2 * by_blocks.sum():
        return False
    ratios = np.log(np.maximum(by_rows, TINY) / np.maximum(by_blocks, TINY))
    return bool(ratios.mean() < 2 * np.log(CLEARLY))
