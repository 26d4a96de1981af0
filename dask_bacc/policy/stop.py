"""When a run stops waiting: pure functions of what has come and of the time."""

from __future__ import annotations

from collections.abc import Collection

from dask_bacc.coding import Code, Decoder, recovered_blocks
from dask_bacc.records.events import Stop


def is_complete(code: Code, returned: Collection[int]) -> bool:
    """Whether the results of these chunks have every block's own among them."""
    if len(returned) < code.k:
        return False
    block_of = code.block_of
    return len({block_of[chunk] for chunk in returned}.difference((-1,))) == code.k


def why_stop(
    code: Code,
    decoder: Decoder,
    *,
    returned: Collection[int],
    outstanding: int,
    enough: int,
    accurate: bool,
    elapsed: float,
    deadline: float,
) -> Stop | None:
    """Why to decode now, or None to wait for more.

    Parameters
    ----------
    code, decoder
        Of the run.
    returned : collection of int
        Chunks whose results are in.
    outstanding : int
        Chunks that may still return.
    enough : int
        Results that the user wants at least.
    accurate : bool
        Whether the estimated error is small enough, or none is asked for.
    elapsed, deadline : float
        Seconds since the run was submitted, and those it was given; inf for any.

    Examples
    --------
    >>> from dask_bacc import coding
    >>> code, decoder = coding.Local(2, 3), coding.LeastSquares()
    >>> rule = dict(enough=2, accurate=True, elapsed=1.0, deadline=5.0)
    >>> why_stop(code, decoder, returned=[2], outstanding=2, **rule)
    >>> why_stop(code, decoder, returned=[2, 0], outstanding=1, **rule)
    <Stop.ENOUGH: 'enough results'>
    """
    if is_complete(code, returned):
        return Stop.COMPLETE
    if accurate and len(returned) >= enough and recovered_blocks(code, returned, decoder).all():
        return Stop.ENOUGH
    if outstanding == 0:
        return Stop.ENDED
    if elapsed >= deadline:
        return Stop.DEADLINE
    return None
