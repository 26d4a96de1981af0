"""A function tried on a few blocks and mixtures: what they tell of it, and how long they take."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from dask.delayed import Delayed, delayed
from distributed import Client

from dask_bacc.api import encode
from dask_bacc.array import CodedArray
from dask_bacc.coding import Code
from dask_bacc.coding._typing import AnyArray, FloatArray
from dask_bacc.coding.decoders import Kriging
from dask_bacc.coding.kriging.fitted import FEWEST
from dask_bacc.coding.kriging.sketch import locate
from dask_bacc.planning.held_out import shares_of_bars
from dask_bacc.planning.smoothness import Smoothness
from dask_bacc.results.joining import Cut, Joining
from dask_bacc.results.solver import Solver
from dask_bacc.worker.trial import Tried, look_at, try_chunk

#: Blocks and mixtures that are tried at most.
OWN, MIXED = 6, 3
#: Bytes of a result up to which it is looked at row by row.
LIMIT = 2**20
#: Blocks of the run that tells what runs cost beside their functions.
EMPTY = 8


@dataclass(frozen=True, eq=False)
class Survey:
    """What is known of a function and a cluster before the run."""

    #: seconds that every chunk took which was tried
    seconds: tuple[float, ...]
    #: seconds that a run takes beside its functions
    overhead: float
    #: what results tell of others; None if nothing could be fitted
    smoothness: Smoothness | None
    #: ``(k, k)`` inner products of the blocks
    blocks_gram: FloatArray
    #: seconds that fitting took
    fit: float
    #: what the trial took, in all
    took: float


def survey(
    coded: CodedArray[Any],
    func: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    client: Client,
) -> Survey:
    """Try a function.

    Parameters
    ----------
    coded : CodedArray
        With parity chunks, of which some are tried.
    func, args, kwargs
        As in `CodedArray.map`.
    client : Client
    """
    begin = time.perf_counter()
    code = coded.code
    axes = [part.axis for part in coded.parts]
    blocks = sorted(code.first_copies)
    looked = {i: delayed(look_at, pure=False)(axes, *_chunk(coded, i)) for i in blocks}
    picked = pick(code)
    tried = {
        i: delayed(try_chunk, pure=False)(LIMIT, func, args, kwargs, *_chunk(coded, i))
        for i in picked
    }
    # Data is on its workers, and functions are known there, before anything is measured.
    sketches = dict(zip(looked, client.gather(client.compute(list(looked.values()))), strict=True))
    overhead = _overhead(client)
    found = dict(zip(tried, client.gather(client.compute(list(tried.values()))), strict=True))
    smoothness, fit = fitted(code, found, sketches, Cut(coded.parts[0].shape, axes[0]))
    seconds = tuple(one.seconds for one in found.values())
    gram = locate(code, sketches).gram
    return Survey(seconds, overhead, smoothness, gram, fit, time.perf_counter() - begin)


def pick(code: Code) -> list[int]:
    """The chunks to try: blocks that are far apart, and mixtures, of one group of the code."""
    group = code.groups[0]
    chunks = np.arange(code.n)[group.chunks]
    own = code.own_blocks[chunks]
    alone, mixed = chunks[own >= 0], chunks[own < 0]
    # Some blocks are left out, to see how well the others tell what they are.
    count = min(OWN, max(len(alone) - 2, 1))
    return sorted({*_spread(alone, count), *_spread(mixed, MIXED)})


def fitted(
    code: Code,
    tried: Mapping[int, Tried],
    sketches: Mapping[int, Sequence[AnyArray]],
    cut: Cut,
) -> tuple[Smoothness | None, float]:
    """What the chunks that were tried tell of others, and seconds that a fit takes."""
    finite = {i: one for i, one in tried.items() if one.spec.finite}
    mixed = [i for i in tried if code.own_blocks[i] < 0]
    # Runs refuse mixtures that are NaN, and a block's NaN tells nothing of others.
    if len(finite) < FEWEST or not finite.keys() >= set(mixed):
        return None, 0.0
    joining = Joining("concat", (cut,))
    solver = Solver(code, Kriging(), joining)
    values = {i: one.result for i, one in finite.items() if one.result is not None}
    specs = {i: one.spec for i, one in finite.items()}
    begin = time.perf_counter()
    solved = solver.solve(specs, sketches, thorough=True)
    fit = time.perf_counter() - begin
    shares: Mapping[int, float] = {}
    if len(values) == len(finite):
        solved = solver.solve(specs, sketches, values=values, thorough=True)
        pairs = {i: (specs[i], value) for i, value in values.items()}
        shares = shares_of_bars(code, pairs, sketches, joining)
    return Smoothness.of(code, solved, shares), fit


def _spread(chunks: np.ndarray[Any, Any], count: int) -> list[int]:
    """So many of them, as far apart as can be."""
    if not len(chunks):
        return []
    places = np.linspace(0, len(chunks) - 1, min(count, len(chunks))).round().astype(int)
    return [int(chunk) for chunk in chunks[places]]


def _chunk(coded: CodedArray[Any], chunk: int) -> list[Delayed]:
    graph = coded.__dask_graph__()
    return [Delayed((part.name, chunk), graph) for part in coded.parts]


def _overhead(client: Client) -> float:
    """Seconds that a run of no length takes, at the second try."""
    for _ in range(2):
        begin = time.perf_counter()
        encode(np.ones(EMPTY), k=EMPTY).map(np.negative, copies=False, client=client).result()
    return time.perf_counter() - begin
