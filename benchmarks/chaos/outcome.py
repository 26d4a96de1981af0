"""What came of chaos draws."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.chaos.draws import Draw


@dataclass
class Outcome:
    """What came of a draw."""

    draw: Draw
    #: ``"answer"``, or the type of the exception, for every run
    ended: list[str] = field(default_factory=list)
    #: true error over the estimated one, for every answer that was estimated
    ratios: list[float] = field(default_factory=list)
    #: seconds after its deadline that the last run ended, while the machine was awake; negative
    #: for before
    lateness: float = -np.inf
    #: what did not hold
    failures: list[str] = field(default_factory=list)
    #: whether the cluster can be used again
    healed: bool = True
    seconds: float = 0.0
    reports: list[Any] = field(default_factory=list)
