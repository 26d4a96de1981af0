"""From the results of a returned set to an answer for every block."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from dask_bacc.coding._typing import AnyArray, BoolArray, FloatArray, IndexArray
from dask_bacc.coding.codes import Code
from dask_bacc.coding.decoders import Decoder, Evidence, get_decoder
from dask_bacc.coding.linear import as_inexact, combine_rows


@dataclass(frozen=True, eq=False)
class Decoded:
    """An answer for every block."""

    #: ``(k, ...)`` answers; NaN where a block is lost
    blocks: AnyArray
    #: ``(k,)`` estimated RMS error: 0 for a block whose own result returned, inf for a lost one,
    #: NaN where the decoder estimates none
    error: FloatArray
    #: name of the decoder
    decoder: str

    @property
    def lost(self) -> tuple[int, ...]:
        """The blocks for which the results give no answer."""
        return tuple(int(block) for block in np.flatnonzero(np.isinf(self.error)))


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
        local = returned[_within(returned, group.chunks)] - group.chunks.start
        if len(local):
            recovered[group.blocks] = decoder.recovered(group.code, local)
    own = code.own_blocks[returned]
    recovered[own[own >= 0]] = True
    return recovered


def decode(
    code: Code,
    results: Mapping[int, ArrayLike],
    decoder: str | Decoder | None = None,
) -> Decoded:
    """Decode results on plain arrays.

    Parameters
    ----------
    code : Code
        The code that made the chunks.
    results : mapping of int to array_like
        Result of every returned chunk by the chunk's index, in any order; all of one shape. Real
        and complex dtypes are kept, integers and booleans become float64.
    decoder : str or Decoder, optional
        By default the one that suits the code.

    Returns
    -------
    Decoded
        Blocks whose own result returned are copies of it, bit for bit.

    Raises
    ------
    ValueError
        If there is no result, an index is no chunk, shapes differ, a result has a NaN or an
        infinity, or the decoder is unknown or cannot decode this code.
    TypeError
        If a result is not numeric.

    Examples
    --------
    >>> import numpy as np
    >>> from dask_bacc.coding import Berrut
    >>> code = Berrut(2, 5, systematic=True)
    >>> chunks = code.encode(np.array([[1.0, 2.0], [3.0, 4.0]]))
    >>> decoded = decode(code, {0: chunks[0], 2: chunks[2], 4: chunks[4]})
    >>> decoded.blocks[0], decoded.error
    (array([1., 2.]), array([ 0., nan]))
    """
    solver = get_decoder(decoder, code)
    values, chunks = _stacked(code, results)
    recovered = recovered_blocks(code, chunks, solver)
    own = code.own_blocks[chunks]
    blocks = np.full((code.k, *values.shape[1:]), np.nan, dtype=values.dtype)
    error = np.where(recovered, np.nan, np.inf)
    for group in code.groups:
        wanted = np.zeros(code.k, dtype=bool)
        wanted[group.blocks] = True
        wanted &= recovered
        wanted[own[own >= 0]] = False
        if wanted.any():
            positions = _within(chunks, group.chunks)
            members = values[positions]
            solution = solver.solve(
                Evidence(
                    code=group.code,
                    chunks=chunks[positions] - group.chunks.start,
                    results_gram=_gram(members) if solver.uses_results else None,
                )
            )
            local = np.flatnonzero(wanted) - group.blocks.start
            blocks[wanted] = combine_rows(solution.weights[local], members)
            if solution.error is not None:
                error[wanted] = solution.error[local]
    for position in np.flatnonzero(own >= 0)[::-1]:
        # In reverse, so that of several copies the first chunk's is the one that stays.
        blocks[own[position]] = values[position]
        error[own[position]] = 0.0
    return Decoded(blocks, error, solver.name)


def _within(chunks: IndexArray, part: slice) -> IndexArray:
    """Positions of the chunks that belong to a group."""
    return np.flatnonzero((chunks >= part.start) & (chunks < part.stop))


def _gram(values: AnyArray) -> FloatArray:
    flat = values.reshape(len(values), -1)
    gram: FloatArray = (flat @ flat.conj().T).real.astype(np.float64)
    return gram


def _stacked(code: Code, results: Mapping[int, ArrayLike]) -> tuple[AnyArray, IndexArray]:
    """The results stacked in order of their chunks, after checking them."""
    if not results:
        raise ValueError("no results to decode")
    if strays := [i for i in results if not 0 <= i < code.n]:
        raise ValueError(f"{code} has chunks 0 to {code.n - 1}, got results for {strays}")
    chunks = sorted(results)
    arrays = [as_inexact(np.asarray(results[i])) for i in chunks]
    shapes = {array.shape for array in arrays}
    if len(shapes) > 1:
        raise ValueError(f"results must have one shape, got {sorted(shapes)}")
    if bad := [i for i, array in zip(chunks, arrays, strict=True) if not np.isfinite(array).all()]:
        raise ValueError(
            f"results must be finite; chunks {bad} have NaN or infinity; leave them out"
        )
    return np.stack(arrays), np.array(chunks, dtype=np.intp)
