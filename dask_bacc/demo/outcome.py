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


def said(error: float) -> str:
    """An error in words; what is left of rounding is none."""
    if error < 1e-9:
        return "exact"
    if error < 1e-4:
        return "below 0.01%"
    return f"{error:.2%}" if np.isfinite(error) else "-"
