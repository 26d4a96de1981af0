"""Gradient coding: chunks are several parts of the data as they stand, and sums are coded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dask_bacc.coding import Code
from dask_bacc.coding._typing import BoolArray, FloatArray, IndexArray
from dask_bacc.coding.decoders import Decoder, Evidence, Solution

#: Share of a sum that may be missing where it counts as decoded.
NOTHING = 1e-8

#: ``matrix(n, load)``: of `n` chunks that hold `load` of `n` parts each, the factors by which
#: gradients of parts are added up.
Assignment = Callable[[int, int], FloatArray]


def fractional(n: int, load: int) -> FloatArray:
    """Groups of `load` chunks that hold the same parts; any one of each group is enough.

    References
    ----------
    Tandon et al., "Gradient Coding", ICML 2017, section 3.

    Examples
    --------
    >>> fractional(4, 2)
    array([[1., 1., 0., 0.],
           [1., 1., 0., 0.],
           [0., 0., 1., 1.],
           [0., 0., 1., 1.]])
    """
    if n % load:
        raise ValueError(f"n={n} chunks must be a multiple of the load, got {load}")
    return np.asarray(np.kron(np.eye(n // load), np.ones((load, load))), dtype=np.float64)


def cyclic(n: int, load: int) -> FloatArray:
    """Chunks that hold parts in a row, with factors so that any ``n - load + 1`` are enough.

    References
    ----------
    Tandon et al., "Gradient Coding", ICML 2017, algorithm 2.

    Examples
    --------
    >>> matrix = cyclic(5, 3)
    >>> left = matrix[[0, 2, 3]]
    >>> bool(np.allclose(np.linalg.lstsq(left.T, np.ones(5), rcond=None)[0] @ left, 1))
    True
    """
    missing = load - 1
    matrix = np.zeros((n, n))
    space = np.random.default_rng(0).normal(size=(missing, n))
    space[:, -1] = -space[:, :-1].sum(axis=1)
    for chunk in range(n):
        parts = (chunk + np.arange(load)) % n
        matrix[chunk, parts[0]] = 1.0
        if missing:
            others = space[:, parts[1:]]
            matrix[chunk, parts[1:]] = -np.linalg.solve(others, space[:, parts[0]])
    return matrix


def stochastic(n: int, load: int) -> FloatArray:
    """Every part in `load` chunks that are drawn at random, and as many parts in every chunk.

    References
    ----------
    Bitar, Wootters and El Rouayheb, "Stochastic Gradient Coding for Straggler Mitigation in
    Distributed Learning", IEEE JSAIT 1, 2020.

    Examples
    --------
    >>> matrix = stochastic(6, 2)
    >>> matrix.sum(axis=0), matrix.sum(axis=1)
    (array([2., 2., 2., 2., 2., 2.]), array([2., 2., 2., 2., 2., 2.]))
    """
    rng = np.random.default_rng(0)
    while True:
        turns = [rng.permutation(n) for _ in range(load)]
        matrix = np.zeros((n, n))
        for turn in turns:
            matrix[np.arange(n), turn] += 1
        # No part twice in a chunk.
        if matrix.max() == 1:
            return matrix


@dataclass(frozen=True)
class Assigned(Code):
    """Which parts chunks hold, and by which factors their gradients are added up there."""

    #: rows of the generator
    rows: tuple[tuple[float, ...], ...] = ()

    @classmethod
    def by(cls, matrix: FloatArray) -> Assigned:
        """By an assignment's matrix."""
        n, k = matrix.shape
        return cls(k, n, tuple(map(tuple, matrix.tolist())))

    @property
    def default_decoder(self) -> str:
        """Of blocks, as far as they can be told apart."""
        return "least-squares"

    def _build_generator(self) -> FloatArray:
        return np.array(self.rows)

    def __str__(self) -> str:
        return f"Assigned(k={self.k}, n={self.n})"


@dataclass(frozen=True)
class OfSum(Decoder):
    """Decodes the sum over blocks alone, exactly, or in the mean over rounds."""

    #: whether a sum that is right in the mean over rounds will do
    in_the_mean: bool = False

    @property
    def name(self) -> str:
        """In reports."""
        return "sum in the mean" if self.in_the_mean else "sum"

    def recovered(self, code: Code, chunks: IndexArray) -> BoolArray:
        """All blocks, if the sum is known, or none."""
        if self.in_the_mean:
            return np.full(code.k, len(chunks) > 0)
        _, off = _factors(code, chunks)
        return np.full(code.k, off <= NOTHING)

    def solve(self, evidence: Evidence) -> Solution:
        """Every block has an equal share in the sum."""
        code, chunks = evidence.code, evidence.chunks
        if self.in_the_mean:
            load = float(code.generator.sum()) / code.k
            factors = np.full(len(chunks), code.n / (load * len(chunks)))
        else:
            factors, _ = _factors(code, chunks)
        return Solution(np.tile(factors / code.k, (code.k, 1)), np.zeros(code.k))


def _factors(code: Code, chunks: IndexArray) -> tuple[FloatArray, float]:
    """Factors of the results in the sum, and how far off it is at a part at most."""
    rows = code.generator[np.asarray(chunks)]
    found = np.linalg.lstsq(rows.T, np.ones(code.k), rcond=None)[0]
    factors = np.asarray(found, dtype=np.float64)
    return factors, float(np.abs(factors @ rows - 1).max())
