"""Decoders, and the one place where they are registered by name."""

from __future__ import annotations

from collections.abc import Mapping

from dask_bacc.coding.codes import Code
from dask_bacc.coding.decoders.algebraic import FirstCopy, LeastSquares, Polynomial
from dask_bacc.coding.decoders.base import Decoder, Evidence, Interpolant, Solution
from dask_bacc.coding.decoders.floater_hormann import FloaterHormann
from dask_bacc.coding.decoders.kriging import Kriging
from dask_bacc.coding.decoders.rescaled import Rescaled
from dask_bacc.coding.decoders.spline import SmoothingSpline

DECODERS: Mapping[str, Decoder] = {
    decoder.name: decoder
    for decoder in (
        FloaterHormann(0),
        FloaterHormann(1),
        SmoothingSpline(),
        Polynomial(),
        LeastSquares(),
        FirstCopy(),
        Rescaled(),
        Kriging(),
    )
}


def get_decoder(decoder: str | Decoder | None, code: Code) -> Decoder:
    """The decoder of that name, or the one that suits the code, checked against the code.

    Raises
    ------
    ValueError
        If the name is unknown or the decoder cannot decode the code.
    TypeError
        If `decoder` is neither a name nor a decoder.

    Examples
    --------
    >>> from dask_bacc.coding import Repetition
    >>> get_decoder(None, Repetition(2, 4))
    FirstCopy()
    """
    if decoder is None:
        decoder = code.default_decoder
    if isinstance(decoder, str):
        if decoder not in DECODERS:
            raise ValueError(f"unknown decoder {decoder!r}; known decoders: {', '.join(DECODERS)}")
        decoder = DECODERS[decoder]
    elif not isinstance(decoder, Decoder):
        raise TypeError(f"decoder must be a name or a Decoder, got {type(decoder).__name__}")
    for group in code.groups:
        decoder.check(group.code)
    return decoder


__all__ = [
    "DECODERS",
    "Decoder",
    "Evidence",
    "FirstCopy",
    "FloaterHormann",
    "Interpolant",
    "Kriging",
    "LeastSquares",
    "Polynomial",
    "Rescaled",
    "SmoothingSpline",
    "Solution",
    "get_decoder",
]
