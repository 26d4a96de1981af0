"""Hypothesis strategies for codes, returned sets and blocks."""

from __future__ import annotations

from functools import partial

import numpy as np
from hypothesis import strategies as st

from dask_bacc import coding

SYSTEMATIC = partial(coding.Berrut, systematic=True)


@st.composite
def node_codes(draw: st.DrawFn, max_k: int = 9, max_extra: int = 9) -> coding.Code:
    """Codes that have nodes."""
    k = draw(st.integers(1, max_k))
    n = k + draw(st.integers(0, max_extra))
    return draw(st.sampled_from([coding.Berrut, SYSTEMATIC, coding.Lagrange]))(k, n)


@st.composite
def codes(draw: st.DrawFn, max_k: int = 9) -> coding.Code:
    """Codes of every kind, grouped ones too."""
    k = draw(st.integers(1, max_k))
    kinds = {
        coding.Berrut: 9,
        SYSTEMATIC: 9,
        coding.Lagrange: 9,
        coding.Repetition: 9,
        coding.Uncoded: 0,
        coding.Local: k,
        coding.Convex: 2 * k - 1,
    }
    kind, extra = draw(st.sampled_from(list(kinds.items())))
    n = k + draw(st.integers(0, min(extra, 9)))
    if kind is not coding.Uncoded and draw(st.booleans()):
        return coding.Grouped(k, n, size=draw(st.integers(max(1, k // 2), k)), code=SYSTEMATIC)
    return kind(k, n)


@st.composite
def returned_sets(draw: st.DrawFn, code: coding.Code) -> list[int]:
    """Non-empty sets of chunks in any order."""
    return draw(st.lists(st.integers(0, code.n - 1), min_size=1, max_size=code.n, unique=True))


def random_blocks(seed: int, k: int, shape: tuple[int, ...] = (3,)) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(k, *shape))
