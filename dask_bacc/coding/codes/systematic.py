"""Codes without nodes whose first chunks are the blocks: local, convex, repetition, uncoded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dask_bacc.coding._typing import FloatArray
from dask_bacc.coding.codes.base import Code


@dataclass(frozen=True)
class Local(Code):
    """Blocks in disjoint groups and the mean of each group: the cheapest parity there is.

    Choose it when encoding must move little (each block is used in one parity only) and losses
    are few: two losses in one group cannot be told apart by algebra. Neighbouring blocks are in
    different groups, so that losing neighbours costs each group little.

    Parameters
    ----------
    k, n : int
        Number of blocks and of coded chunks, ``n <= 2k``.

    Raises
    ------
    ValueError
        If ``n - k > k``, which would leave groups empty.

    References
    ----------
    Gopalan et al., "On the locality of codeword symbols", IEEE Trans. Inf. Theory 58 (2012), is
    the idea over finite fields.

    Examples
    --------
    >>> Local(4, 6).generator[4:]
    array([[0.5, 0. , 0.5, 0. ],
           [0. , 0.5, 0. , 0.5]])
    """

    @property
    def default_decoder(self) -> str:
        """The decoder that suits the code."""
        return "kriging"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n > 2 * self.k:
            raise ValueError(
                f"a local code has at most one parity chunk per block: n={self.n} must be at "
                f"most 2k={2 * self.k}"
            )

    def _build_generator(self) -> FloatArray:
        parities = self.n - self.k
        matrix = np.eye(self.n, self.k)
        for parity in range(parities):
            members = np.arange(parity, self.k, parities)
            matrix[self.k + parity, members] = 1.0 / len(members)
        return matrix


@dataclass(frozen=True)
class Convex(Code):
    """Parity chunks that are weighted means of the blocks, so chunks stay among the data.

    Choose it for functions that refuse what lies outside the data's range, a negative
    concentration say. Row 0 of the parity is the mean, the others are raised cosines,
    ``(1 + cos(i theta_j)) / k`` with ``theta_j = (2j + 1) pi / 2k``: of the non-negative rows
    tried they keep the solution for lost blocks best conditioned.

    Parameters
    ----------
    k, n : int
        Number of blocks and of coded chunks, ``n <= 3k - 1``.

    Raises
    ------
    ValueError
        If `n` is larger, where parity rows would repeat.

    Examples
    --------
    >>> Convex(2, 4).generator[2:].round(3)
    array([[0.5  , 0.5  ],
           [0.854, 0.146]])
    """

    @property
    def default_decoder(self) -> str:
        """The decoder that suits the code."""
        return "kriging"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n > 3 * self.k - 1:
            raise ValueError(
                f"a convex code has at most 2k-1 parity chunks: n={self.n} must be at most "
                f"3k-1={3 * self.k - 1}"
            )

    def _build_generator(self) -> FloatArray:
        theta = np.pi * ((2 * np.arange(self.k) + 1) / (2 * self.k))
        # Frequency k vanishes on these nodes and would repeat the mean.
        frequency = np.array([i for i in range(1, 2 * self.k) if i != self.k], dtype=np.float64)
        cosines = 1 + np.cos(frequency[:, None] * theta)
        parity = np.vstack([np.ones(self.k), cosines])[: self.n - self.k] / self.k
        return np.vstack([np.eye(self.k), parity])


@dataclass(frozen=True)
class Repetition(Code):
    """Each block as it stands, again and again: exact, for any function, while a copy returns.

    Choose it for rough functions of unrelated blocks when there is room for copies. Chunk ``i``
    is block ``i mod k``; `n` need not be a multiple of `k`.

    Parameters
    ----------
    k, n : int
        Number of blocks and of coded chunks.

    Examples
    --------
    >>> Repetition(2, 3).own_blocks
    array([0, 1, 0])
    """

    @property
    def default_decoder(self) -> str:
        """The decoder that suits the code."""
        return "first-copy"

    def _build_generator(self) -> FloatArray:
        return np.eye(self.k)[np.arange(self.n) % self.k]


@dataclass(frozen=True)
class Uncoded(Code):
    """The blocks themselves and nothing else, for comparison and for smooth data.

    Parameters
    ----------
    k, n : int
        Number of blocks and of chunks, which are the same.

    Raises
    ------
    ValueError
        If ``n != k``.

    Examples
    --------
    >>> Uncoded(3, 3).own_blocks
    array([0, 1, 2])
    """

    @property
    def default_decoder(self) -> str:
        """The decoder that suits the code."""
        return "first-copy"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n != self.k:
            raise ValueError(f"an uncoded array has n=k={self.k} chunks, got n={self.n}")

    def _build_generator(self) -> FloatArray:
        return np.eye(self.k)
