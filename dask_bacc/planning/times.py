"""How long tasks take: by a distribution, a record, or what was seen of late."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import scipy  # Loads its parts when they are used: every worker imports this module.
from dask.utils import key_split

from dask_bacc.coding._typing import FloatArray

#: ``draw(rng, count)``: seconds of so many tasks.
Draw = Callable[[np.random.Generator, int], FloatArray]

#: Times the usual that a task took, and whether that was to its end: else it was cancelled then.
Lasted = tuple[float, bool]

#: Tasks of late from which on they tell more than the few that were tried, and of one name.
FEWEST = 20
#: Seconds that tasks of one name take as a rule; of shorter ones most is the engine's.
SHORTEST = 0.01


def drawn_from(times: Any, tried: Sequence[float], late: Sequence[Lasted]) -> Draw:
    """Seconds of tasks.

    Parameters
    ----------
    times : object
        A frozen distribution of `scipy.stats`, or anything with ``rvs(size, random_state)``; an
        array of recorded seconds; a function of a generator and a count; what
        `distributed.get_task_stream` has recorded, of which it is used how much longer than others
        of their name tasks took; or None, for what tasks took of late.
    tried : sequence of float
        Seconds of the chunks that were tried.
    late : sequence of pairs of float and bool
        What tasks of late took, each over the usual time of its kind. Those that did not end would
        have taken longer: the law is that of Kaplan and Meier (1958), in which the longest of all
        ends.

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
    >>> set(drawn_from(None, [2.0, 2.0], 20 * [(1.0, True)])(rng, 3).tolist())
    {2.0}
    """
    if times is None:
        return _scaled(tried, late)
    if _is_stream(times):
        if len(found := lasted(times)) < FEWEST:
            raise ValueError(
                f"times has {len(found)} recorded tasks of names that have {FEWEST} which take "
                f"{SHORTEST:g} s or longer; record at least {FEWEST}, or give seconds"
            )
        return _scaled(tried, found)
    if hasattr(times, "rvs"):
        return lambda rng, count: np.asarray(times.rvs(size=count, random_state=rng), dtype=float)
    if callable(times):
        return lambda rng, count: np.asarray(times(rng, count), dtype=float)
    try:
        recorded = np.asarray(times, dtype=float).ravel()
    except (TypeError, ValueError):
        raise TypeError(
            "times must be a distribution with rvs, recorded seconds, a function of a generator "
            f"and a count, a recorded task stream, or None, got {type(times).__name__}"
        ) from None
    if not len(recorded) or not (recorded >= 0).all():
        raise ValueError("recorded times must be seconds of at least one task, none negative")
    return _resampled(recorded)


def lasted(stream: Iterable[Mapping[str, Any]]) -> list[Lasted]:
    """How long the tasks of a task stream took over the usual of their name.

    Those of runs are left out, for what was cancelled is not among them.

    Examples
    --------
    >>> took = lambda stop: {"action": "compute", "start": 0.0, "stop": stop}
    >>> tasks = [{"key": ("f-1", i), "startstops": [took(1.0)]} for i in range(30)]
    >>> tasks.append({"key": ("f-1", 30), "startstops": [took(4.0)]})
    >>> sorted(lasted(tasks))[-2:]
    [(1.0, True), (4.0, True)]
    """
    seconds = defaultdict[str, list[float]](list)
    for record in stream:
        taken = [s["stop"] - s["start"] for s in record["startstops"] if s["action"] == "compute"]
        if taken and not (name := key_split(record["key"])).startswith("bacc-"):
            seconds[name].append(sum(taken))
    found: list[Lasted] = []
    for taken in seconds.values():
        if len(taken) >= FEWEST and (usual := float(np.median(taken))) >= SHORTEST:
            found += [(one / usual, True) for one in taken]
    return found


def _is_stream(times: Any) -> bool:
    first = times[0] if isinstance(times, list | tuple) and times else None
    return isinstance(first, Mapping) and "startstops" in first


def _scaled(tried: Sequence[float], late: Sequence[Lasted]) -> Draw:
    """The usual seconds of what was tried, times what others took over their usual."""
    usual = float(np.median(tried))
    ended = [times for times, through in late if through]
    if len(late) < FEWEST or not ended:
        return _resampled(np.asarray(tried))
    cancelled = [times for times, through in late if not through]
    law = scipy.stats.ecdf(scipy.stats.CensoredData(uncensored=ended, right=cancelled)).cdf
    chances = np.diff(law.probabilities, prepend=0.0)
    chances[-1] += 1.0 - law.probabilities[-1]
    return lambda rng, count: usual * rng.choice(law.quantiles, size=count, p=chances)


def _resampled(recorded: FloatArray) -> Draw:
    return lambda rng, count: rng.choice(recorded, size=count)
