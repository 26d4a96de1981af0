"""Runs of all choices with given task times, without a function and without a cluster."""

from __future__ import annotations

from typing import Any

from dask_bacc._config import configured
from dask_bacc.coding import get_code
from dask_bacc.planning.choices import choices
from dask_bacc.planning.forecast import Costs, forecast
from dask_bacc.planning.plan import best_of
from dask_bacc.planning.shown import plan_text
from dask_bacc.planning.times import drawn_from
from dask_bacc.policy.lateness import Patience


def simulated_text(k: int, workers: int, times: Any, rounds: int) -> str:
    """A table of time and work, if parity is good enough with as many results as blocks.

    Parameters
    ----------
    k : int
        Number of blocks.
    workers : int
        Threads that take chunks.
    times : object
        Seconds of tasks, as in `dask_bacc.plan`.
    rounds : int
        Runs of each choice.

    Examples
    --------
    >>> print(simulated_text(4, 4, [1.0], 10).splitlines()[2])
    > plain Dask               4  exact     1 s     1 s  1.00
    """
    draw = drawn_from(times, [], [])
    costs = Costs(workers, 0.1, 0.0, 0.0, configured(Patience, "bacc.backup"))
    forecasts = [
        forecast(choice, get_code(choice.code, k, choice.n), draw, None, costs, rounds)
        for choice in choices(k)
    ]
    title = f"{k} blocks on {workers} threads, {rounds} runs each, parity taken for good enough"
    return plan_text(forecasts, best_of(forecasts, 0.1), title)
