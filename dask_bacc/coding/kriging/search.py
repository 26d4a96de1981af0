"""Descent in a box of a handful of parameters, for costs that take as long as a call of Python."""

from __future__ import annotations

from collections.abc import Callable, Sequence

#: A cost and its gradient.
Cost = Callable[[Sequence[float]], tuple[float, Sequence[float]]]
_Matrix = list[list[float]]

#: Steps at most, and lengths that are tried of each.
STEPS, TRIES = 60, 8
#: Longest step in one parameter.
LONGEST = 4.0
#: Share of the gain that the gradient promises from which on a step is taken.
PROMISED = 1e-4
#: Share of the slope that is left at the end of a step from which on a longer one is tried.
STEEP = 0.5
#: Gain of a step of one unit along a slope, over the slope.
PER_UNIT = 0.25
#: Largest part of a gradient that is next to nothing.
FLAT = 1e-4
#: Curvature of a step, over the squared change of the gradient, that is rounding.
ROUNDING = 1e-12


def descend(
    cost: Cost,
    start: Sequence[float],
    box: Sequence[tuple[float, float]],
    enough: Callable[[float, float], bool],
) -> tuple[list[float], float]:
    """The parameters to which a cost falls from a start, and the cost there.

    SciPy's L-BFGS-B finds the same. Between two costs it takes as long as a cost of forty results
    does, and so would NumPy with vectors of five numbers: these are lists.

    Parameters
    ----------
    cost : callable
    start : sequence of float
    box : sequence of pairs of float
        Least and largest value of every parameter.
    enough : callable
        Says of the gain of a step and of the cost after it whether there need be no further one.

    References
    ----------
    Nocedal and Wright, "Numerical Optimization" (2006), algorithms 3.1 and 6.1, eq. 6.17, with
    parameters at a side of the box left there while the cost falls towards it.

    Examples
    --------
    >>> def bowl(x):
    ...     return sum((a - 1) ** 2 for a in x), [2 * (a - 1) for a in x]
    >>> there, _ = descend(bowl, [-2.0, 0.0], [(-3, 3), (-3, 0.5)], lambda gain, _: gain < 1e-12)
    >>> [round(number, 6) for number in there]
    [1.0, 0.5]
    """
    here = _within(start, box)
    value, slope = cost(here)
    inverse: _Matrix | None = None
    small = 0
    for _ in range(STEPS):
        free = _free(here, slope, box)
        size = max(map(abs, free))
        if size < FLAT:
            break
        way = None if inverse is None else _way(inverse, free)
        if way is None or not _dot(way, free) < 0:
            way, inverse = [-number / max(size, 1.0) for number in free], None
        longest = max(map(abs, way))
        if longest > LONGEST:
            way = [number * LONGEST / longest for number in way]
        taken = _step(cost, here, value, slope, way, box)
        if taken is None:
            break
        there, after, slope_after = taken
        inverse = _updated(inverse, _minus(there, here), _minus(slope_after, slope))
        gain = value - after
        here, value, slope = there, after, slope_after
        # Where the cost still slopes, one small gain may be a short step's.
        small = small + 1 if enough(gain, value) else 0
        steepest = max(map(abs, _free(here, slope, box)))
        if small > 1 or (small and enough(PER_UNIT * steepest, value)):
            break
    return here, value


def _step(
    cost: Cost,
    here: Sequence[float],
    value: float,
    slope: Sequence[float],
    way: Sequence[float],
    box: Sequence[tuple[float, float]],
) -> tuple[list[float], float, Sequence[float]] | None:
    """A step some of the way or beyond, with cost and gradient there; None if none is found."""
    share, found = 1.0, None
    for _ in range(TRIES):
        there = _within([a + share * b for a, b in zip(here, way, strict=True)], box)
        after, slope_after = cost(there)
        promised = _dot(slope, _minus(there, here))
        if after <= value + PROMISED * promised and (found is None or after < found[1]):
            found = there, after, slope_after
            if share < 1 or not _dot(slope_after, way) < STEEP * _dot(slope, way):
                break
            # It goes on downhill.
            share *= 3
        elif found is not None:
            break
        else:
            # The minimum of the parabola through both values, kept within a tenth and a half.
            curved = after - value - promised
            share *= min(max(-promised / (2 * curved), 0.1), 0.5) if curved > 0 else 0.5
    return found


def _updated(
    inverse: _Matrix | None, step: Sequence[float], change: Sequence[float]
) -> _Matrix | None:
    """The inverse Hessian that takes the change of the gradient to the step."""
    curvature, square = _dot(step, change), _dot(change, change)
    if not curvature > ROUNDING * square:
        return inverse
    if inverse is None:
        places = range(len(step))
        inverse = [[curvature / square if i == j else 0.0 for j in places] for i in places]
    moved = [_dot(row, change) for row in inverse]
    factor = (1 + _dot(change, moved) / curvature) / curvature
    return [
        [
            number + factor * a * b - (c * b + a * d) / curvature
            for number, b, d in zip(row, step, moved, strict=True)
        ]
        for row, a, c in zip(inverse, step, moved, strict=True)
    ]


def _free(
    here: Sequence[float], slope: Sequence[float], box: Sequence[tuple[float, float]]
) -> list[float]:
    """The gradient, but for parameters that it presses against a side of the box."""
    return [
        0.0 if (a <= low and g > 0) or (a >= high and g < 0) else g
        for a, g, (low, high) in zip(here, slope, box, strict=True)
    ]


def _way(inverse: _Matrix, free: Sequence[float]) -> list[float]:
    return [-_dot(row, free) if g else 0.0 for row, g in zip(inverse, free, strict=True)]


def _within(point: Sequence[float], box: Sequence[tuple[float, float]]) -> list[float]:
    return [min(max(a, low), high) for a, (low, high) in zip(point, box, strict=True)]


def _minus(left: Sequence[float], right: Sequence[float]) -> list[float]:
    return [a - b for a, b in zip(left, right, strict=True)]


def _dot(left: Sequence[float], right: Sequence[float]) -> float:
    return sum([a * b for a, b in zip(left, right, strict=True)])
