"""Laws of times by name, for the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy

LAWS: dict[str, tuple[str, Callable[[float, float], Any]]] = {
    "pareto": ("shape and least seconds", lambda a, b: scipy.stats.pareto(a, scale=b)),
    "exponential": ("least seconds and mean beyond", lambda a, b: scipy.stats.expon(a, b)),
    "lognormal": ("median seconds and sigma", lambda a, b: scipy.stats.lognorm(b, scale=a)),
}


def law_of(text: str) -> Any:
    """A distribution, or seconds that were recorded in a file, one a line.

    Raises
    ------
    ValueError
        If it is neither.

    Examples
    --------
    >>> float(law_of("exponential:0.5:0.5").mean())
    1.0
    >>> law_of("weibull:1:1")
    Traceback (most recent call last):
    ValueError: unknown times 'weibull:1:1'; use pareto:A:B (shape and least seconds), \
exponential:A:B (least seconds and mean beyond), lognormal:A:B (median seconds and sigma), or a \
file of seconds
    """
    name, _, numbers = text.partition(":")
    if name in LAWS:
        try:
            first, second = map(float, numbers.split(":"))
        except ValueError:
            raise ValueError(f"{name} needs two numbers: {LAWS[name][0]}, got {text!r}") from None
        return LAWS[name][1](first, second)
    if Path(text).is_file():
        return np.loadtxt(text).ravel()
    known = ", ".join(f"{law}:A:B ({what})" for law, (what, _) in LAWS.items())
    raise ValueError(f"unknown times {text!r}; use {known}, or a file of seconds")
