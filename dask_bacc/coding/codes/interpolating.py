"""Codes whose chunks are values of an interpolant through the blocks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from operator import index

import numpy as np

from dask_bacc.coding._typing import FloatArray
from dask_bacc.coding.barycentric import floater_hormann_weights, interpolation_matrix
from dask_bacc.coding.codes.base import Code
from dask_bacc.coding.nodes import bisected, chebyshev_first, chebyshev_second


@dataclass(frozen=True)
class InterpolatingCode(Code):
    """A code on nodes: chunk ``i`` is the value at ``beta_i`` of the interpolant of the blocks."""

    @cached_property
    def data_nodes(self) -> FloatArray:
        """The ``(k,)`` Chebyshev nodes of the first kind at which the blocks sit."""
        return chebyshev_first(self.k)

    @cached_property
    def chunk_nodes(self) -> FloatArray:
        """The ``(n,)`` Chebyshev nodes of the second kind at which the chunks are taken."""
        return chebyshev_second(self.n)


@dataclass(frozen=True)
class Berrut(InterpolatingCode):
    """Berrut's rational interpolant through the blocks: any function, any subset of results.

    Choose the paper's nodes to compare with the published scheme, and ``systematic=True`` for
    work: the same decoders apply, the first `k` chunks are the blocks themselves, and the answer
    is exact when all of those return.

    Parameters
    ----------
    k, n : int
        Number of blocks and of coded chunks.
    systematic : bool
        If True, the first `k` chunk nodes are the data nodes and the other ``n - k`` bisect the
        widest gaps between them. If False, the paper's nodes: ``alpha_j = cos((2j + 1) pi / 2k)``
        and ``beta_i = cos(i pi / (n - 1))``.

    References
    ----------
    Jahani-Nezhad and Maddah-Ali, "Berrut Approximated Coded Computing: Straggler Resistance
    Beyond Polynomial Computing", arXiv 2009.08327, eqs. 5 and 8.

    Examples
    --------
    >>> code = Berrut(2, 3)
    >>> code.generator.round(3)
    array([[ 1.207, -0.207],
           [ 0.5  ,  0.5  ],
           [-0.207,  1.207]])
    >>> Berrut(2, 3, systematic=True).generator.round(3)
    array([[1. , 0. ],
           [0. , 1. ],
           [0.5, 0.5]])
    """

    systematic: bool = False

    @property
    def default_decoder(self) -> str:
        """The decoder that suits the code."""
        return "kriging"

    @cached_property
    def chunk_nodes(self) -> FloatArray:
        """The ``(n,)`` nodes at which the chunks are taken."""
        if self.systematic:
            return bisected(self.k, self.n - self.k)
        return chebyshev_second(self.n)

    def _build_generator(self) -> FloatArray:
        weights = floater_hormann_weights(self.data_nodes, degree=0)
        return interpolation_matrix(self.data_nodes, weights, self.chunk_nodes)


@dataclass(frozen=True)
class Lagrange(InterpolatingCode):
    """The polynomial through the blocks: exact for polynomial functions of known degree.

    Choose it for a polynomial function, a small `k` and a low degree. Over the reals its decoder
    loses digits as the threshold grows; below the threshold it has no answer at all.

    Parameters
    ----------
    k, n : int
        Number of blocks and of coded chunks.
    degree : int
        Degree of the function that will be mapped, at least 1.

    Raises
    ------
    ValueError
        If `n` is below the recovery threshold.

    References
    ----------
    Yu et al., "Lagrange Coded Computing: Optimal Design for Resiliency, Security and Privacy",
    AISTATS 2019.

    Examples
    --------
    >>> Lagrange(3, 8, degree=2).recovery_threshold
    5
    """

    degree: int = 1

    @property
    def default_decoder(self) -> str:
        """The decoder that suits the code."""
        return "polynomial"

    def __post_init__(self) -> None:
        super().__post_init__()
        if index(self.degree) < 1:
            raise ValueError(f"degree must be at least 1, got {self.degree}")
        if self.n < self.recovery_threshold:
            raise ValueError(
                f"Lagrange code for degree {self.degree} needs (k-1)*degree+1 = "
                f"{self.recovery_threshold} results, but n={self.n}"
            )

    @property
    def recovery_threshold(self) -> int:
        """Results needed for an answer, ``(k - 1) * degree + 1``."""
        return (self.k - 1) * self.degree + 1

    def _build_generator(self) -> FloatArray:
        # First-kind Chebyshev nodes have these barycentric weights in closed form.
        angles = (2 * np.arange(self.k) + 1) / (2 * self.k)
        weights = (-1.0) ** np.arange(self.k) * np.sin(np.pi * angles)
        return interpolation_matrix(self.data_nodes, weights, self.chunk_nodes)
