"""Codes and decoders on plain arrays: NumPy and SciPy only."""

from dask_bacc.coding.barycentric import lebesgue_constant
from dask_bacc.coding.codes import (
    CODES,
    Berrut,
    Code,
    Convex,
    Grouped,
    Lagrange,
    Local,
    Reordered,
    Repetition,
    Uncoded,
    get_code,
    similarity_order,
)
from dask_bacc.coding.decode import Decoded, decode
from dask_bacc.coding.decoders import (
    DECODERS,
    Decoder,
    FirstCopy,
    FloaterHormann,
    Kriging,
    LeastSquares,
    Polynomial,
    SmoothingSpline,
    get_decoder,
)
from dask_bacc.coding.matrix import (
    DecodingMatrix,
    decoding_matrix,
    lost_blocks,
    needs_solving,
    recovered_blocks,
)

__all__ = [
    "CODES",
    "DECODERS",
    "Berrut",
    "Code",
    "Convex",
    "Decoded",
    "Decoder",
    "DecodingMatrix",
    "FirstCopy",
    "FloaterHormann",
    "Grouped",
    "Kriging",
    "Lagrange",
    "LeastSquares",
    "Local",
    "Polynomial",
    "Reordered",
    "Repetition",
    "SmoothingSpline",
    "Uncoded",
    "decode",
    "decoding_matrix",
    "get_code",
    "get_decoder",
    "lebesgue_constant",
    "lost_blocks",
    "needs_solving",
    "recovered_blocks",
    "similarity_order",
]
