"""Results that are alike: that they agree is little proof that the next one does."""

from __future__ import annotations

import numpy as np

from dask_bacc.coding._typing import BoolArray, FloatArray

#: Share of their size by which numbers differ that are still the same.
SAME = 1e-6
#: Share of the results that agree, or of values that are distinct, at which a number says little.
HALF = 0.5
#: Of `m` results that are all the same, up to ``RULE / m`` of further ones may be different.
RULE = 3.0
#: Share of the variance that predictions from the other results may leave of a number that is
#: explained, and of one that is explained exactly.
EXPLAINED, EXACT = 0.25, 1e-8
#: Numbers that vary, each by itself, all of which must be explained exactly if each has but a few
#: values: one of them may be by chance.
CHECKS = 4


def unforeseen_variance(values: FloatArray, left_out: FloatArray, square: float) -> float:
    """Variance of a further result for all that these say, mean over numbers; 0 if they say much.

    Counts, flags, labels and saturated curves are the same in most results, or have a few values.
    A covariance that is fitted to them is as sure as if they were a smooth function's. All that
    they say is how often a number was different: `d` of `m` times, so that up to ``(d + 3) / m``
    of further ones may be.

    Parameters
    ----------
    values : (m, s) ndarray
        Some numbers of each result.
    left_out : (m, s) ndarray
        Their errors as predicted from the other results.
    square : float
        Mean square of all numbers of all results.

    References
    ----------
    Hanley and Lippman-Hand, "If nothing goes wrong, is everything all right?", JAMA 249, 1983:
    the rule of three.

    Examples
    --------
    >>> same = np.full((12, 1), 10.0)
    >>> unforeseen_variance(same, np.zeros((12, 1)), 100.0)
    25.0
    >>> line = np.arange(12.0)[:, None]
    >>> unforeseen_variance(line, np.zeros((12, 1)), 42.0)
    0.0
    """
    if len(values) < 2 or not values.size:
        return 0.0
    middle, same, few = _agreement(values)
    different = len(values) - same.sum(axis=0)
    spread = ((values - values.mean(axis=0)) ** 2).sum(axis=0)
    missed = (left_out**2).sum(axis=0)
    exact = spread.sum() > 0 and missed.sum() <= EXACT * spread.sum()
    if exact and _is_proof(values[:, different > 0], few[different > 0]):
        return 0.0
    explained = (different > 0) & (missed <= EXPLAINED * spread) & ~exact
    little = ((different <= HALF * len(values)) | few) & ~explained
    if little.mean() < HALF:
        return 0.0
    apart = np.where(same, 0.0, (values - middle) ** 2).sum(axis=0) / np.maximum(different, 1)
    size = np.where(different > 0, apart, np.maximum(middle**2, square))
    share = np.minimum((different + RULE) / len(values), 1.0)
    return float(np.where(little, share * size, 0.0).mean())


def say_little(values: FloatArray) -> bool:
    """Whether most numbers are the same in most of the results, or have a few values.

    Examples
    --------
    >>> say_little(np.array([[10.0], [10.0], [9.0]])), say_little(np.array([[1.0], [2.0], [3.5]]))
    (True, False)
    """
    _, same, few = _agreement(values)
    return bool(np.mean((same.mean(axis=0) >= HALF) | few) >= HALF)


def _agreement(values: FloatArray) -> tuple[FloatArray, BoolArray, BoolArray]:
    """The median of every number, which results have it, and whether there are few values."""
    ordered = np.sort(values, axis=0)
    size = SAME * np.abs(values).max(axis=0)
    middle = ordered[len(values) // 2]
    same = np.abs(values - middle) <= size
    distinct = 1 + (np.diff(ordered, axis=0) > size).sum(axis=0)
    return middle, same, distinct <= HALF * len(values)


def _is_proof(varied: FloatArray, few: BoolArray) -> bool:
    """Whether numbers that are explained exactly cannot be so by chance."""
    if not varied.shape[1]:
        return False
    if not few.all():
        return True
    rounded = np.round(varied / np.abs(varied).max(axis=0), 9)
    return len(np.unique(rounded, axis=1).T) >= CHECKS
