"""Codes, returned sets and blocks, drawn by Hypothesis or at random, and functions of blocks."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from hypothesis import strategies as st

from dask_bacc import coding

SYSTEMATIC = partial(coding.Berrut, systematic=True)
#: Decoders that any results do for, be it one.
ANY_SUBSET = ("berrut", "floater-hormann", "spline")
#: A mixing of twenty numbers.
MIXING = np.random.default_rng(5).normal(size=(20, 20)) / np.sqrt(20)


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


def sample(
    seed: int, k: int, kind: str = "common mean", shape: tuple[int, int] = (15, 20)
) -> tuple[np.ndarray, dict[str, Callable[[Any], Any]]]:
    """Blocks, and the functions of their rows that the tests map."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(k, *shape))
    mean = rng.normal(size=shape)
    blocks = {"independent": noise, "common mean": mean + 0.5 * noise}[kind]
    weights = rng.normal(size=(shape[1], 30)) / np.sqrt(shape[1])
    outer = rng.normal(size=(30, 20)) / np.sqrt(30)
    functions = {
        "linear": lambda x: x @ weights + 1.0,
        "quadratic": lambda x: x @ x.T,
        "sigmoid": lambda x: 1 / (1 + np.exp(-x @ weights)),
        "tanh network": lambda x: np.tanh(x @ weights + 0.3) @ outer,
        "relu network": lambda x: np.maximum(x @ weights + 0.3, 0) @ outer,
    }
    return blocks, functions


def four_outputs(blocks: np.ndarray) -> np.ndarray:
    """A layer of a network, with every row an input of its own."""
    weights = np.random.default_rng(5).normal(size=(blocks.shape[-1], 4))
    return np.tanh(blocks @ weights / np.sqrt(blocks.shape[-1]))


def smooth_blocks(rng: np.random.Generator, k: int, shape: tuple[int, ...]) -> np.ndarray:
    """Blocks that wave from one to the next."""
    position = (np.arange(k) + 0.5) / k
    waves = np.cos(np.pi * np.arange(4)[:, None] * position)
    return np.einsum("wk,w...->k...", waves, rng.normal(size=(4, *shape)))


def decoded_at_random(
    code: coding.Code, blocks: np.ndarray, function: Callable[[Any], Any], missing: int, seed: int
) -> tuple[Any, dict[int, Any], np.ndarray]:
    """What kriging makes of random chunks, all but a few, their results, and the truth."""
    results = [function(chunk) for chunk in code.encode(blocks)]
    returned = np.random.default_rng(seed).permutation(code.n)[missing:].tolist()
    kept = {i: results[i] for i in returned}
    flat = blocks.reshape(code.k, -1)
    return (
        coding.decode(code, kept, "kriging", gram=flat @ flat.T),
        kept,
        np.stack([function(block) for block in blocks]),
    )
