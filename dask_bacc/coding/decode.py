"""From the results of a returned set to an answer for every block."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from dask_bacc.coding._typing import AnyArray, FloatArray
from dask_bacc.coding.arrays import (
    all_finite,
    as_array,
    astype,
    exceeds_double,
    has_wide_integers,
    inner_products,
    is_complex,
    is_foreign,
    largest,
    library,
    namespace,
    numpy_dtype,
    power_of_two,
    some_values,
)
from dask_bacc.coding.codes import Code
from dask_bacc.coding.decoders import Decoder, get_decoder
from dask_bacc.coding.linear import (
    answer_dtype,
    combine_rows,
    combined_rows,
    inexact_dtype,
    rounding,
)
from dask_bacc.coding.located import Located
from dask_bacc.coding.matrix import DecodingMatrix, decoding_matrix, lost_blocks
from dask_bacc.coding.rows import Rows, as_rows, row_axis
from dask_bacc.coding.threads import one_thread

#: What happens to results that look corrupted.
Suspects = Literal["keep", "replace"]


@dataclass(frozen=True, eq=False)
class Decoded:
    """An answer for every block."""

    #: ``(k, ...)`` answers; NaN where a block is lost
    blocks: AnyArray
    #: ``(k,)`` estimated RMS error: 0 for a block whose own result returned (the noise, if the
    #: function is found to be noisy), inf for a lost one, NaN where the decoder estimates none
    error: FloatArray
    #: name of the decoder
    decoder: str
    #: names of the covariances that explain the results best, one for each group of the code that
    #: needed estimating; empty for decoders that have none
    kernels: tuple[str, ...] = ()
    #: RMS of what differs between results of the same block; 0 unless the function is found to be
    #: noisy
    noise: float = 0.0
    #: chunks whose results look corrupted
    suspects: tuple[int, ...] = ()

    @property
    def lost(self) -> tuple[int, ...]:
        """The blocks for which the results give no answer."""
        return lost_blocks(self.error)


def decode(
    code: Code,
    results: Mapping[int, ArrayLike],
    decoder: str | Decoder | None = None,
    gram: ArrayLike | None = None,
    *,
    rows: ArrayLike | None = None,
    suspects: Suspects = "keep",
) -> Decoded:
    """Decode results on plain arrays.

    Parameters
    ----------
    code : Code
        The code that made the chunks.
    results : mapping of int to array_like
        Result of every returned chunk by the chunk's index, in any order; all of one shape. Real
        and complex dtypes are kept (of different ones, that of the blocks' own results), integers
        and booleans become float64. Arrays of other libraries that follow the array API standard
        give an answer of their own kind.
    decoder : str or Decoder, optional
        By default the one that suits the code.
    gram : (k, k) array_like, optional
        Inner products of the blocks, real parts; the kriging decoder measures distances by them.
    rows : (k, r, ...) array_like, optional
        The blocks themselves, for functions that may treat the `r` rows of a block one by one, or
        anything with nearly the same inner products of rows, such as sketches. Where results have
        an axis of length `r` too, the kriging decoder finds out whether the function does so, and
        if it does, its errors are often several times smaller. Gives `gram` as well.
    suspects : {"keep", "replace"}
        What happens to results that look corrupted. Kept, they stay what they are, and errors take
        in what the others say of them. Replaced, they are put aside, and a linear function that
        explains all others is believed in; choose it where workers are not to be trusted, for
        functions without kinks.

    Returns
    -------
    Decoded
        Blocks whose own result returned are copies of it, bit for bit.

    Raises
    ------
    ValueError
        If `suspects` is unknown, there is no result, an index is no chunk, shapes differ, a result
        has a NaN or an infinity, `gram` is not ``(k, k)``, `rows` are not those of `k` blocks, or
        the decoder is unknown or cannot decode this code.
    TypeError
        If a result is not numeric, or is masked.
    OverflowError
        If the answer is too large for the dtype of the results, or results are integers beyond
        ``2**53`` or extended floats beyond double precision's range.

    Examples
    --------
    >>> import numpy as np
    >>> from dask_bacc.coding import Berrut
    >>> code = Berrut(2, 5, systematic=True)
    >>> chunks = code.encode(np.array([[1.0, 2.0], [3.0, 4.0]]))
    >>> decoded = decode(code, {0: chunks[0], 2: chunks[2], 4: chunks[4]}, "berrut")
    >>> decoded.blocks[0], decoded.error
    (array([1., 2.]), array([ 0., nan]))
    """
    check_choice(suspects, "suspects", Suspects)
    solver = get_decoder(decoder, code)
    arrays = _checked(code, results)
    products = None if gram is None else np.asarray(gram, dtype=np.float64)
    if products is not None and products.shape != (code.k, code.k):
        raise ValueError(f"gram must have shape {(code.k, code.k)}, got {products.shape}")
    if products is not None and not np.isfinite(products).all():
        raise ValueError("gram has NaN or infinity")
    ordered = [arrays[i] for i in sorted(arrays)]
    lines = None if rows is None else _checked_rows(code, rows)
    if lines is not None and products is None:
        flat = lines.reshape(code.k, -1)
        products = flat @ flat.T
    axis = None if lines is None else row_axis(ordered[0].shape, lines.shape[1])
    if is_foreign(ordered[0]):
        axis = None
    solver = solver.at_precision(rounding(map(numpy_dtype, ordered)))
    scale = power_of_two(max(map(largest, ordered)))
    with one_thread():
        matrix = decoding_matrix(
            code,
            arrays,
            solver,
            inner=inner_products(ordered, scale) if solver.uses_results else None,
            outputs=count_outputs(ordered[0]),
            located=None if products is None else Located.at(products),
            rows=None
            if lines is None or axis is None
            else Rows(lines, np.stack([as_rows(array, axis) / scale for array in ordered])),
            values=_values(ordered) / scale if solver.uses_results else None,
            rounding=rounding(map(numpy_dtype, ordered)),
            replace=suspects == "replace",
        )
    blocks = _combined(matrix, ordered, axis)
    return Decoded(
        blocks,
        matrix.error * scale,
        solver.name,
        matrix.kernels,
        matrix.noise * scale,
        matrix.suspects,
    )


def _combined(matrix: DecodingMatrix, arrays: Sequence[Any], axis: int | None) -> Any:
    """Answers, NaN where there is none; rows lie along this axis of the results."""
    weights, kept = matrix.weights, ~np.isinf(matrix.error)
    dtype = answer_dtype(weights, list(map(numpy_dtype, arrays)))
    if is_foreign(arrays[0]):
        xp = namespace(arrays[0])
        found = iter(combined_rows(weights[kept], arrays, dtype))
        lost = xp.full_like(astype(arrays[0], dtype), np.nan)
        blocks = xp.stack([next(found) if keep else lost for keep in kept])
        finite = all(all_finite(blocks[j, ...]) for j in np.flatnonzero(kept).tolist())
    else:
        blocks = np.full((len(weights), *arrays[0].shape), np.nan, dtype=dtype)
        with np.errstate(over="ignore"):  # checked below, with a clearer word
            combine_rows(weights[kept], arrays, [blocks[j, ...] for j in np.flatnonzero(kept)])
            if axis is not None:
                for part in matrix.rows:
                    part.fill([blocks[j, ...] for j in part.blocks], arrays, axis)
        finite = all_finite(blocks[kept])
    if not finite:
        raise OverflowError(f"the decoded blocks overflow {blocks.dtype}; scale the results down")
    return blocks


def check_choice(value: str, name: str, choice: Any) -> None:
    """Refuse a word that is not among those of a `Literal`.

    Raises
    ------
    ValueError
    """
    if value not in get_args(choice):
        names = ", ".join(map(repr, get_args(choice)))
        raise ValueError(f"unknown {name} {value!r}; use one of {names}")


def count_outputs(result: AnyArray) -> int:
    """How many real numbers a result has, at least one."""
    return max(result.size, 1) * (2 if is_complex(result) else 1)


def _values(arrays: Sequence[Any]) -> FloatArray:
    """``(m, s)`` some numbers of every result."""
    return as_rows(np.stack([some_values(array) for array in arrays]), 0)


def _checked_rows(code: Code, rows: ArrayLike) -> FloatArray:
    blocks = np.asarray(rows)
    if blocks.ndim < 2 or len(blocks) != code.k:
        raise ValueError(f"rows must have shape ({code.k}, rows, ...), got {blocks.shape}")
    if not all_finite(blocks):
        raise ValueError("rows have NaN or infinity")
    return np.stack([as_rows(block, 0) for block in blocks])


def _checked(code: Code, results: Mapping[int, ArrayLike]) -> dict[int, AnyArray]:
    if not results:
        raise ValueError("no results to decode")
    if strays := [i for i in results if not 0 <= i < code.n]:
        raise ValueError(f"{code} has chunks 0 to {code.n - 1}, got results for {strays}")
    if masked := [i for i, result in results.items() if isinstance(result, np.ma.MaskedArray)]:
        raise TypeError(f"results must not be masked; chunks {masked} are; fill them first")
    arrays = {i: as_array(result) for i, result in results.items()}
    if len(kinds := {library(array) for array in arrays.values()}) > 1:
        raise TypeError(f"results must be arrays of one library, got {', '.join(sorted(kinds))}")
    for array in arrays.values():
        if not is_foreign(array):
            inexact_dtype(array.dtype)
    if len(shapes := {array.shape for array in arrays.values()}) > 1:
        raise ValueError(f"results must have one shape, got {sorted(shapes)}")
    if wide := [i for i, array in arrays.items() if has_wide_integers(array)]:
        raise OverflowError(
            f"results must not be integers beyond 2**53, which would be rounded; those of chunks "
            f"{wide} are; convert them to float64 if that is all right, or split them"
        )
    if large := [i for i, array in arrays.items() if exceeds_double(array)]:
        raise OverflowError(
            f"results must be within double precision's range; those of chunks {large} are not; "
            "scale them down"
        )
    if bad := [i for i, array in arrays.items() if not all_finite(array)]:
        raise ValueError(
            f"results must be finite; chunks {bad} have NaN or infinity; leave them out"
        )
    return arrays
