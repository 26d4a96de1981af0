"""Codes, and the one place where they are registered by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from dask_bacc.coding.codes.base import Code, Group
from dask_bacc.coding.codes.grouped import Grouped
from dask_bacc.coding.codes.interpolating import Berrut, Lagrange
from dask_bacc.coding.codes.reordered import Reordered, similarity_order
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
#: Codes of copies, which combine nothing.
UNGROUPED = frozenset({"repetition", "uncoded"})


def get_code(code: str | Code, k: int, n: int, group_size: int | None = None) -> Code:
    """The code of that name for `k` blocks and `n` chunks, or the given code if it fits.

    Parameters
    ----------
    code : str or Code
    k, n : int
    group_size : int, optional
        Blocks in a group for a code that is given by name, about: codes that combine more blocks
        than that, and can do with groups, are `Grouped`. Every group has a parity chunk at least
        if there are any, so where parity is scarce the groups are larger.

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
    >>> get_code("local", 64, 80, group_size=32)
    Grouped(k=64, n=80, groups=[2 x Local(k=32, n=40)])
    """
    if isinstance(code, Code):
        if (code.k, code.n) != (k, n):
            raise ValueError(f"{code} does not fit k={k} blocks and n={n} chunks")
        return code
    if not isinstance(code, str):
        raise TypeError(f"code must be a name or a Code, got {type(code).__name__}")
    if code not in CODES:
        raise ValueError(f"unknown code {code!r}; known codes: {', '.join(CODES)}")
    make = CODES[code]
    whole = make(k, n)
    if group_size is None or k <= group_size or code in UNGROUPED:
        return whole
    count = -(-k // group_size)
    count = min(count, n - k) if n > k else count
    try:
        return Grouped(k, n, size=-(-k // count), code=make)
    except ValueError:  # what fits as a whole may not fit in parts
        return whole


__all__ = [
    "CODES",
    "Berrut",
    "Code",
    "Convex",
    "Group",
    "Grouped",
    "Lagrange",
    "Local",
    "Reordered",
    "Repetition",
    "Uncoded",
    "get_code",
    "similarity_order",
]
