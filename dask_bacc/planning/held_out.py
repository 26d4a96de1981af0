"""By how much bars are too wide: answers for blocks that were tried, without their results."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np

from dask_bacc.coding import Code, DecodingMatrix
from dask_bacc.coding._typing import AnyArray, FloatArray
from dask_bacc.coding.arrays import is_foreign
from dask_bacc.coding.decoders import Kriging
from dask_bacc.coding.kriging.fitted import FEWEST
from dask_bacc.coding.linear import combine_rows
from dask_bacc.coding.rows import as_rows
from dask_bacc.results.combine import place_of_rows
from dask_bacc.results.joining import Joining
from dask_bacc.results.result import FlatResult, ResultSpec
from dask_bacc.results.solver import Solver

#: Most blocks that are left out at a time, and sets of them of each size.
MOST, SETS = 3, 6
#: Seconds after which no further ones are looked at.
ENOUGH = 2.0
#: What errors may be over their bars, at the least: a few blocks say no more.
LEAST = 0.1


def shares_of_bars(
    code: Code,
    tried: Mapping[int, tuple[ResultSpec, FlatResult]],
    sketches: Mapping[int, Sequence[AnyArray]],
    joining: Joining,
) -> dict[int, float]:
    """RMS errors over their estimates, by the number of results that they were made of.

    Blocks whose results are known are left out, up to three at a time, and answered from the
    other results as a run would. Numbers of results of which nothing was seen are not there.

    Parameters
    ----------
    code : Code
    tried : mapping of int to pairs of ResultSpec and FlatResult
        Results of chunks, of blocks and of mixtures.
    sketches : mapping of int to sequence of ndarrays
        Of the blocks.
    joining : Joining
        How answers are put together.
    """
    if any(is_foreign(leaf) for _, result in tried.values() for leaf in result.leaves):
        return {}
    end = time.monotonic() + ENOUGH
    squares: defaultdict[int, FloatArray] = defaultdict(lambda: np.zeros(2))
    for left_out in _sets([i for i in tried if code.own_blocks[i] >= 0]):
        kept = {i: result for i, (_, result) in tried.items() if i not in left_out}
        if time.monotonic() > end:
            break
        if len(kept) < FEWEST:
            continue
        solver = Solver(code, Kriging(), joining)
        specs = {i: tried[i][0] for i in kept}
        solved = solver.solve(specs, sketches, values=kept, thorough=True)
        used = [kept[i] for i in solved.chunks]
        for number, (matrix, unit) in enumerate(zip(solved.matrices, solved.units, strict=True)):
            for chunk in left_out:
                block = int(code.own_blocks[chunk])
                off = _square_off(number, matrix, block, used, tried[chunk][1], joining)
                squares[len(kept)] += off, (matrix.error[block] / unit) ** 2
    return {
        count: max(math.sqrt(off / bar), LEAST)
        for count, (off, bar) in squares.items()
        if 0 < bar < math.inf
    }


def _sets(blocks: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Some sets of each size, by turns."""
    sizes = range(1, min(MOST, len(blocks)) + 1)
    by_size = [list(combinations(blocks, size)) for size in sizes]
    for turn in range(SETS):
        for sets in by_size:
            if turn < len(sets):
                yield sets[turn * len(sets) // min(SETS, len(sets))]


def _square_off(
    number: int,
    matrix: DecodingMatrix,
    block: int,
    used: Sequence[FlatResult],
    own: FlatResult,
    joining: Joining,
) -> float:
    """Mean square of what an answer is off, over that of the results, mean over members."""
    known = [*used, own]
    wide = np.result_type(np.float64, *(result.leaves[number] for result in known))
    *arrays, truth = (np.asarray(result.leaves[number], wide) for result in known)
    answer = np.empty(truth.shape, wide)
    combine_rows(matrix.weights[[block]], arrays, [answer])
    for part in matrix.rows:
        alone = part.without(part.blocks[part.blocks != block])
        if len(alone.blocks):
            place = place_of_rows(own.layout.leaves[number], part, joining)
            alone.fill([answer], arrays, place)
    members = [as_rows(array, 0) for array in (*arrays, truth)]
    largest = np.max([np.abs(rows).max(axis=1) for rows in members], axis=0)
    unit = np.where(largest > 0, largest, 1.0)[:, None]
    size = np.mean([((rows / unit) ** 2).mean(axis=1) for rows in members], axis=0)
    off = ((as_rows(answer - truth, 0) / unit) ** 2).mean(axis=1)
    return float(np.mean(off / np.where(size > 0, size, 1.0)))
