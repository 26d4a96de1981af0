"""Codes, and the one place where they are registered by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from dask_bacc.coding.codes.base import Code, Group
from dask_bacc.coding.codes.grouped import Grouped
from dask_bacc.coding.codes.interpolating import Berrut, Lagrange
from dask_bacc.coding.codes.systematic import Convex, Local, Repetition, Uncoded

CODES: Mapping[str, Callable[[int, int], Code]] = {
    "berrut": Berrut,
    "systematic": partial(Berrut, systematic=True),
    "local": Local,
    "convex": Convex,
    "repetition": Repetition,
    "lagrange": Lagrange,
    "uncoded": Uncoded,
}


def get_code(code: str | Code, k: int, n: int) -> Code:
    """The code of that name for `k` blocks and `n` chunks, or the given code if it fits.

    Raises
    ------
    ValueError
        If the name is unknown, the code refuses `k` and `n`, or a code object has others.
    TypeError
        If `code` is neither a name nor a code.

    Examples
    --------
    >>> get_code("local", 4, 6)
    Local(k=4, n=6)
    """
    if isinstance(code, Code):
        if (code.k, code.n) != (k, n):
            raise ValueError(f"{code} does not fit k={k} blocks and n={n} chunks")
        return code
    if not isinstance(code, str):
        raise TypeError(f"code must be a name or a Code, got {type(code).__name__}")
    if code not in CODES:
        raise ValueError(f"unknown code {code!r}; known codes: {', '.join(CODES)}")
    return CODES[code](k, n)


__all__ = [
    "CODES",
    "Berrut",
    "Code",
    "Convex",
    "Group",
    "Grouped",
    "Lagrange",
    "Local",
    "Repetition",
    "Uncoded",
    "get_code",
]
