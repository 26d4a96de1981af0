"""How a job of the demo went."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dask_bacc.demo.digits import Job


@dataclass(frozen=True)
class Outcome:
    """How a job went."""

    job: Job
    #: seconds to the answers; None for none
    coded: float | None
    plain: float | None
    #: blocks that plain Dask had by then
    blocks: int
    #: true and estimated error of the coded answer
    error: float
    estimate: float


def how_far_off(outcome: Outcome) -> str:
    """The error of a coded answer beside what was said of it.

    Examples
    --------
    >>> job = Job("", "", len, 8, 0.01)
    >>> how_far_off(Outcome(job, 1.0, None, 7, error=0.005, estimate=0.006))
    '0.50% off (said: 0.60%)'
    >>> how_far_off(Outcome(job, 1.0, None, 7, error=1e-16, estimate=1e-6))
    'exact (said: below 0.01%)'
    """
    true, told = said(outcome.error), said(outcome.estimate)
    off = true if true == "exact" else f"{true} off"
    return off if told == "exact" else f"{off} (said: {told})"


def said(error: float) -> str:
    """An error in words; what is left of rounding is none."""
    if error < 1e-9:
        return "exact"
    if error < 1e-4:
        return "below 0.01%"
    return f"{error:.2%}" if np.isfinite(error) else "-"
