"""Fisher scoring in a box of a handful of parameters."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.linalg import lapack

from dask_bacc.coding._typing import FloatArray


class Cost(NamedTuple):
    """A negative log posterior at some parameters."""

    value: float
    #: gradient
    slope: FloatArray
    #: Fisher information, the mean of the second derivative were the parameters true
    information: FloatArray


#: Says of the gain that the next step promises, of that of the last one, and of the cost between,
#: whether there need be no next one.
Enough = Callable[[float, float, float], bool]

#: Steps at most, and those in a row that are not taken.
STEPS, REFUSED = 60, 8
#: Longest step in one parameter.
LONGEST = 4.0
TINY = float(np.finfo(float).tiny)
#: Share of the gain that the gradient promises from which on a step is taken.
PROMISED = 1e-4
#: What is added to the information: some parameters may change nothing. It falls after a step that
#: is taken, and rises after one that is not, at least to so much.
DAMPING, TRUSTED, DISTRUSTED, DISTRUST = 1e-4, 4.0, 8.0, 1e-2
#: Share of the slope that is left after a step from which on the next one is longer, and by how
#: much: the cost of an exact function falls like a plane along weights that vanish.
STEEP, FURTHER = 0.5, 3.0


def descend(
    cost: Callable[[FloatArray], Cost],
    start: FloatArray,
    low: FloatArray,
    high: FloatArray,
    enough: Enough,
) -> tuple[FloatArray, float]:
    """The parameters to which a cost falls from a start, and the cost there.

    Parameters
    ----------
    cost : callable
    start : (q,) ndarray
    low, high : (q,) ndarrays
        Least and largest value of every parameter.
    enough : callable

    References
    ----------
    Osborne, "Fisher's method of scoring", International Statistical Review 60 (1992), with the
    damping of Levenberg and Marquardt (Nocedal and Wright, "Numerical Optimization", 2006, section
    10.3), and parameters at a side of the box left there while the cost falls towards it.

    Examples
    --------
    >>> def bowl(x):
    ...     return Cost(float(((x - 1) ** 2).sum()), 2 * (x - 1), 2 * np.eye(2))
    >>> sides = np.array([-3.0, -3.0]), np.array([3.0, 0.5])
    >>> descend(bowl, np.array([-2.0, 0.0]), *sides, lambda gain, *_: gain < 1e-12)[0].round(6)
    array([1. , 0.5])
    """
    here = np.minimum(np.maximum(start, low), high)
    found, damping, stretch = cost(here), DAMPING, 1.0
    gained, refused = math.inf, 0
    for _ in range(STEPS):
        step = _step(here, found, damping, low, high)
        # The parabola's minimum is half as far below as its slope is.
        if enough(-0.5 * float(step @ found.slope), gained, found.value):
            if refused or damping <= DAMPING:
                break
            # It may only look so after steps that were not taken.
            damping = DAMPING
            step = _step(here, found, damping, low, high)
        longest = float(np.abs(step).max())
        step *= min(stretch, LONGEST / max(longest, TINY))
        there = np.minimum(np.maximum(here + step, low), high)
        way, after = there - here, cost(there)
        promised = float(found.slope @ way)
        if promised < 0 and after.value <= found.value + PROMISED * promised:
            stretch = stretch * FURTHER if after.slope @ way < STEEP * promised else 1.0
            damping, refused = max(damping / TRUSTED, DAMPING), 0
            gained = found.value - after.value
            here, found = there, after
        else:
            damping, stretch = max(damping * DISTRUSTED, DISTRUST), 1.0
            refused += 1
            if refused == REFUSED:
                break
    return here, found.value


def _step(
    here: FloatArray, found: Cost, damping: float, low: FloatArray, high: FloatArray
) -> FloatArray:
    """A step towards the minimum of a parabola; along the gradient if rounding leaves it none."""
    slope, information = found.slope.copy(), found.information.copy()
    information.ravel()[:: len(here) + 1] += damping
    for i in np.flatnonzero(((here <= low) & (slope >= 0)) | ((here >= high) & (slope <= 0))):
        slope[i] = information[i] = information[:, i] = 0.0
        information[i, i] = 1.0
    _, step, failed = lapack.dposv(information, -slope, lower=1)
    return -slope if failed else np.asarray(step)
