"""How long tasks take: by a distribution, a record, or what was seen of late."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dask_bacc.coding._typing import FloatArray

#: ``draw(rng, count)``: seconds of so many tasks.
Draw = Callable[[np.random.Generator, int], FloatArray]

#: Tasks of late from which on they tell more than the few that were tried.
FEWEST = 20


def drawn_from(times: Any, tried: Sequence[float], late: Sequence[float]) -> Draw:
    """Seconds of tasks.

    Parameters
    ----------
    times : object
        A frozen distribution of `scipy.stats`, or anything with ``rvs(size, random_state)``; an
        array of recorded seconds; a function of a generator and a count; or None, for what the
        cluster's workers took of late.
    tried : sequence of float
        Seconds of the chunks that were tried.
    late : sequence of float
        What tasks of runs of late took, each over the usual time of its run.

    Raises
    ------
    TypeError
        For anything else.
    ValueError
        For recorded seconds that are none.

    Examples
    --------
    >>> from scipy import stats
    >>> rng = np.random.default_rng(0)
    >>> drawn_from(stats.uniform(1, 1), [], [])(rng, 3).shape
    (3,)
    >>> set(drawn_from([1.0, 5.0], [], [])(rng, 10).tolist()) == {1.0, 5.0}
    True
    >>> set(drawn_from(None, [2.0, 2.0], 20 * [1.0])(rng, 3).tolist())
    {2.0}
    """
    if times is None:
        usual = float(np.median(tried))
        spread = np.asarray(late) if len(late) >= FEWEST else np.asarray(tried) / max(usual, 1e-9)
        return _resampled(usual * spread)
    if hasattr(times, "rvs"):
        return lambda rng, count: np.asarray(times.rvs(size=count, random_state=rng), dtype=float)
    if callable(times):
        return lambda rng, count: np.asarray(times(rng, count), dtype=float)
    try:
        recorded = np.asarray(times, dtype=float).ravel()
    except (TypeError, ValueError):
        raise TypeError(
            "times must be a distribution with rvs, recorded seconds, a function of a generator "
            f"and a count, or None, got {type(times).__name__}"
        ) from None
    if not len(recorded) or not (recorded >= 0).all():
        raise ValueError("recorded times must be seconds of at least one task, none negative")
    return _resampled(recorded)


def _resampled(recorded: FloatArray) -> Draw:
    return lambda rng, count: rng.choice(recorded, size=count)
