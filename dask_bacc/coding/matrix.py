"""The small matrix that takes the results of a returned set to the blocks' answers."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dask_bacc.coding._typing import BoolArray, FloatArray, IndexArray
from dask_bacc.coding.codes import Code
from dask_bacc.coding.codes.base import Group
from dask_bacc.coding.decoders import Decoder, Evidence
from dask_bacc.coding.decoders.base import Outlook, Solution
from dask_bacc.coding.located import Located
from dask_bacc.coding.rows import Rows, RowWeights


@dataclass(frozen=True, eq=False)
class DecodingMatrix:
    """How to make the blocks' answers from the results: small, whatever the results' size."""

    #: ``(k, m)`` weights over the returned set in ascending order; a unit row for a block whose
    #: own result returned, NaN for a lost one
    weights: FloatArray
    #: ``(k,)`` estimated RMS error, as in `Decoded`
    error: FloatArray
    #: answers to lost blocks, row by row; their rows of `weights` are zero
    rows: tuple[RowWeights, ...] = ()
    #: the rest as in `Decoded`
    kernels: tuple[str, ...] = ()
    noise: float = 0.0
    suspects: tuple[int, ...] = ()
    #: RMS error of blocks that have no more behind it than that results are alike; 0 for none
    alike: float = 0.0
    #: what further results would leave unknown, for groups where that can be foreseen
    outlooks: tuple[GroupOutlook, ...] = ()

    @property
    def rms_error(self) -> float:
        """RMS of the blocks' errors."""
        return float(np.sqrt(np.mean(self.error**2)))

    def foreseen(self, code: Code, returned: Collection[int], more: Collection[int]) -> FloatArray:
        """``(k,)`` errors as they are likely to be once more chunks have returned.

        Parameters
        ----------
        code : Code
        returned : collection of int
            The chunks that were decoded.
        more : collection of int
            Further ones.
        """
        now = np.array(sorted(returned), dtype=np.intp)
        then = np.array(sorted({*returned, *more}), dtype=np.intp)
        error = self.error.copy()
        for outlook in self.outlooks:
            error[outlook.blocks] *= outlook.shrinking(now, then)
        own = code.own_blocks[then]
        error[own[own >= 0]] = np.minimum(error[own[own >= 0]], self.noise)
        return error


@dataclass(frozen=True, eq=False)
class GroupOutlook:
    """What further results of a group would leave unknown of its blocks."""

    blocks: IndexArray
    chunks: slice
    #: of the chunks of the group, counted within it
    outlook: Outlook

    def shrinking(self, now: IndexArray, then: IndexArray) -> FloatArray:
        """Errors with these chunks over those with fewer."""
        before, after = (
            self.outlook.variance(chunks[within(chunks, self.chunks)] - self.chunks.start)
            for chunks in (now, then)
        )
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = np.where(before > 0, after / before, 1.0)
        shrinking: FloatArray = np.sqrt(np.minimum(ratio, 1.0))
        return shrinking


def lost_blocks(error: FloatArray) -> tuple[int, ...]:
    """The blocks whose estimated error is infinite."""
    return tuple(int(block) for block in np.flatnonzero(np.isinf(error)))


def recovered_blocks(code: Code, chunks: Iterable[int], decoder: Decoder) -> BoolArray:
    """Which of the `k` blocks have an answer once these chunks have returned.

    Examples
    --------
    >>> from dask_bacc.coding import Local
    >>> from dask_bacc.coding.decoders import LeastSquares
    >>> recovered_blocks(Local(4, 5), [0, 1, 4], LeastSquares())
    array([ True,  True, False, False])
    """
    returned = np.array(sorted(chunks), dtype=np.intp)
    recovered = np.zeros(code.k, dtype=bool)
    for group in code.groups:
        local = returned[within(returned, group.chunks)] - group.chunks.start
        if len(local):
            recovered[group.blocks] = decoder.recovered(group.code, local)
    own = code.own_blocks[returned]
    recovered[own[own >= 0]] = True
    return recovered


def needs_solving(code: Code, chunks: Iterable[int], decoder: Decoder) -> bool:
    """Whether there is more to do than to copy blocks: one to estimate, or results to check.

    Nothing is checked in codes of several groups, where it would take longer than their runs.

    Examples
    --------
    >>> from dask_bacc.coding import Local
    >>> from dask_bacc.coding.decoders import Kriging
    >>> [needs_solving(Local(4, 8), range(count), Kriging()) for count in (3, 4, 8)]
    [True, False, True]
    """
    returned = np.array(sorted(chunks), dtype=np.intp)
    if len(np.setdiff1d(np.arange(code.k), code.own_blocks[returned])):
        return True
    return _is_checked(code, decoder, len(returned))


def decoding_matrix(
    code: Code,
    returned: Iterable[int],
    decoder: Decoder,
    *,
    inner: FloatArray | None = None,
    outputs: int = 1,
    located: Located | None = None,
    rows: Rows | None = None,
    values: FloatArray | None = None,
    rounding: float = 0.0,
    replace: bool = False,
    memory: dict[int, dict[str, Any]] | None = None,
) -> DecodingMatrix:
    """The matrix that decodes a returned set.

    Parameters
    ----------
    code : Code
    returned : iterable of int
        The returned chunks, at least one.
    decoder : Decoder
    inner : (m, m) ndarray, optional
        Inner products of the results in ascending order of their chunks, real parts; needed by
        decoders that use the results.
    outputs : int
        Numbers in a result, a complex one counting twice.
    located : Located, optional
        Where the blocks lie to each other.
    rows : Rows, optional
        Of the blocks and the results.
    values : (m, s) ndarray, optional
        Some numbers of every result as they are, in the unit of `inner`.
    rounding : float
        Share of their size to which results are rounded.
    replace : bool
        Whether results that look corrupted are replaced by what the others say of them.
    memory : dict, optional
        Pass the same one at every call for the same function, with more and more results: what
        decoders keep there, for each group, makes the next call faster.
    """
    memory = {} if memory is None else memory
    chunks = np.array(sorted(returned), dtype=np.intp)
    recovered = recovered_blocks(code, chunks, decoder)
    own = code.own_blocks[chunks]
    square = 0.0 if inner is None else float(np.trace(inner)) / (len(chunks) * outputs)
    evidence = Evidence(
        code,
        chunks,
        results_gram=inner,
        outputs=outputs,
        located=located,
        rows=rows,
        values=values,
        square=square,
        rounding=rounding,
        replace=replace,
    )
    made = _Assembly(recovered, len(chunks))
    for number, group in enumerate(code.groups):
        wanted = np.zeros(code.k, dtype=bool)
        wanted[group.blocks] = recovered[group.blocks]
        wanted[own[own >= 0]] = False
        positions = within(chunks, group.chunks)
        if wanted.any() or _is_checked(code, decoder, len(positions)):
            of_group = evidence.among(group, positions, memory.setdefault(number, {}))
            solution = decoder.solve(of_group)
            if len(suspected := positions[solution.suspects]):
                made.suspects += chunks[suspected].tolist()
                if replace:
                    wanted[own[suspected][own[suspected] >= 0]] = True
                    own[suspected] = -1
                    wanted[own[own >= 0]] = False
            made.take(solution, group, positions, wanted)
    return made.matrix(own)


def copying_matrix(code: Code, returned: Iterable[int]) -> DecodingMatrix:
    """The matrix that copies blocks whose own results are in; all others are lost.

    Examples
    --------
    >>> from dask_bacc.coding import Local
    >>> copying_matrix(Local(2, 3), [1]).error
    array([inf,  0.])
    """
    chunks = np.array(sorted(returned), dtype=np.intp)
    own = code.own_blocks[chunks]
    returned_blocks = np.isin(np.arange(code.k), own)
    return _Assembly(returned_blocks, len(chunks)).matrix(own)


class _Assembly:
    """A decoding matrix that is put together group by group."""

    def __init__(self, recovered: BoolArray, count: int) -> None:
        self._weights = np.zeros((len(recovered), count))
        self._weights[~recovered] = np.nan
        self._error = np.where(recovered, np.nan, np.inf)
        self._doubt = np.zeros(count)
        self._noise = self._alike = 0.0
        self._kernels: list[str] = []
        self._rows: list[RowWeights] = []
        self._outlooks: list[GroupOutlook] = []
        self.suspects: list[int] = []

    def take(
        self, solution: Solution, group: Group, positions: IndexArray, wanted: BoolArray
    ) -> None:
        """Take in what results at these positions say of those blocks of a group that matter."""
        if solution.kernel is not None:
            self._kernels.append(solution.kernel)
        self._noise = max(self._noise, solution.noise)
        if solution.doubt is not None:
            self._doubt[positions] = solution.doubt
        if wanted.any():
            self._alike = max(self._alike, solution.alike)
        local = np.flatnonzero(wanted[group.blocks])
        blocks = group.blocks[local]
        self._weights[np.ix_(blocks, positions)] = solution.weights[local]
        if solution.rows is not None:
            self._rows.append(solution.rows.moved(group.blocks, positions))
            self._weights[self._rows[-1].blocks] = 0.0
        if solution.error is not None:
            self._error[blocks] = solution.error[local]
        if solution.outlook is not None:
            self._outlooks.append(GroupOutlook(group.blocks, group.chunks, solution.outlook))

    def matrix(self, own: IndexArray) -> DecodingMatrix:
        """With copies of those blocks whose own results are in."""
        blocks, positions = _first_copies(own)
        self._weights[blocks, positions] = 1.0
        # What one noisy result says of the function's mean is off by the noise.
        self._error[blocks] = np.hypot(self._noise, self._doubt[positions])
        return DecodingMatrix(
            self._weights,
            self._error,
            tuple(self._rows),
            tuple(self._kernels),
            self._noise,
            tuple(self.suspects),
            self._alike,
            tuple(self._outlooks),
        )


def _first_copies(own: IndexArray) -> tuple[IndexArray, IndexArray]:
    """Blocks whose own results are in, and the positions of those, each block's first."""
    blocks, positions = np.unique(own, return_index=True)
    there = blocks >= 0
    return blocks[there], positions[there]


def _is_checked(code: Code, decoder: Decoder, count: int) -> bool:
    """Whether results are checked although nothing need be estimated from them."""
    return len(code.groups) == 1 and decoder.checks(code, count)


def within(chunks: IndexArray, part: slice) -> IndexArray:
    """Positions of the chunks that belong to a group."""
    return np.flatnonzero((chunks >= part.start) & (chunks < part.stop))
