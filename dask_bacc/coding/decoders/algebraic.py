"""Decoders that solve linear equations or copy, and say which blocks are lost."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.polynomial import chebyshev

from dask_bacc.coding._typing import BoolArray, FloatArray, IndexArray
from dask_bacc.coding.codes import Code, Lagrange
from dask_bacc.coding.decoders.base import Decoder, Evidence, NodeDecoder, Solution
from dask_bacc.coding.linear import rounding

#: Rounding of double precision, as a share of a number's size.
DOUBLE = rounding(())
#: Polynomials, whose bases are badly conditioned by nature, are lost where a singular value is at
#: most this many times the rounding, as a share of the largest, so that four digits are left; or
#: this share, where rounding is coarse.
LEFT, LEAST = 1e4, 0.1


@dataclass(frozen=True)
class Polynomial(NodeDecoder):
    """Least-squares polynomial in the node, in the Chebyshev basis.

    With a Lagrange code it is exact for polynomial functions of the code's degree. Fewer distinct
    results than coefficients give no answer but for the blocks that returned themselves.

    Parameters
    ----------
    degree : int, optional
        Degree of the polynomial in the node. By default ``(k - 1) * code.degree`` for a Lagrange
        code and ``k - 1`` for others.
    precision : float
        Share of their size to which results are rounded. `decode` and runs set it to that of the
        results' dtype.

    Raises
    ------
    ValueError
        If `degree` is negative.
    """

    degree: int | None = None
    precision: float = DOUBLE

    def __post_init__(self) -> None:
        if self.degree is not None and self.degree < 0:
            raise ValueError(f"degree must be at least 0, got {self.degree}")

    @property
    def name(self) -> str:
        """``"polynomial"``."""
        return "polynomial"

    def check(self, code: Code) -> None:
        """Refuse a code without nodes, or with too few chunks for the degree."""
        super().check(code)
        if self._coefficients(code) > code.n:
            raise ValueError(
                f"a polynomial of degree {self.degree} needs {self._coefficients(code)} results, "
                f"and {code} has {code.n} chunks"
            )

    def at_precision(self, precision: float) -> Polynomial:
        """The same for results that are rounded to this share of their size."""
        return replace(self, precision=precision)

    def recovered(self, code: Code, chunks: IndexArray) -> BoolArray:
        """All blocks once the nodes determine the coefficients to some digits, none before."""
        assert code.chunk_nodes is not None
        count = self._coefficients(code)
        if len(np.unique(code.chunk_nodes[chunks])) < count:
            return np.zeros(code.k, dtype=bool)
        basis = chebyshev.chebvander(code.chunk_nodes[chunks], count - 1)
        singular = np.linalg.svd(basis, compute_uv=False)
        return np.full(code.k, singular[-1] > min(LEFT * self.precision, LEAST) * singular[0])

    def solve(self, evidence: Evidence) -> Solution:
        """The polynomial of this degree that is closest to the results."""
        code = evidence.code
        assert code.chunk_nodes is not None
        assert code.data_nodes is not None
        degree = self._coefficients(code) - 1
        basis = chebyshev.chebvander(code.chunk_nodes[evidence.chunks], degree)
        return Solution(chebyshev.chebvander(code.data_nodes, degree) @ np.linalg.pinv(basis))

    def _coefficients(self, code: Code) -> int:
        if self.degree is not None:
            return self.degree + 1
        return code.recovery_threshold if isinstance(code, Lagrange) else code.k


@dataclass(frozen=True)
class LeastSquares(Decoder):
    """Solves the generator's equations: exact for affine functions of the blocks.

    Blocks that the returned rows do not determine are lost, and so are those of which rounding
    would leave less than half of the digits. Codes whose rows sum to one (all here) also recover a
    constant offset.

    Parameters
    ----------
    precision : float
        Share of their size to which results are rounded. `decode` and runs set it to that of the
        results' dtype.
    """

    precision: float = DOUBLE

    @property
    def name(self) -> str:
        """``"least-squares"``."""
        return "least-squares"

    @property
    def rank_tolerance(self) -> float:
        """Share of the largest singular value up to which others are taken for zero."""
        return math.sqrt(self.precision)

    def at_precision(self, precision: float) -> LeastSquares:
        """The same for results that are rounded to this share of their size."""
        return replace(self, precision=precision)

    def recovered(self, code: Code, chunks: IndexArray) -> BoolArray:
        """The blocks whose unit vector lies in the span of the returned rows."""
        if len(chunks) == 0:
            return np.zeros(code.k, dtype=bool)
        _, singular, right = np.linalg.svd(code.generator[chunks], full_matrices=False)
        kept = right[singular > self.rank_tolerance * singular[0]]
        outside = np.linalg.norm(np.eye(code.k) - kept.T @ kept, axis=0)
        return np.asarray(outside < self.rank_tolerance)

    def solve(self, evidence: Evidence) -> Solution:
        """The pseudo-inverse of the returned rows."""
        rows = evidence.code.generator[evidence.chunks]
        inverse: FloatArray = np.linalg.pinv(rows, rcond=self.rank_tolerance).astype(np.float64)
        return Solution(inverse)


@dataclass(frozen=True)
class FirstCopy(Decoder):
    """Copies the blocks whose own result returned; the others are lost and said to be."""

    @property
    def name(self) -> str:
        """``"first-copy"``."""
        return "first-copy"

    def check(self, code: Code) -> None:
        """Refuse a code that has no chunk for some block."""
        bare = np.setdiff1d(np.arange(code.k), code.own_blocks)
        if len(bare):
            raise ValueError(
                f"decoder 'first-copy' copies blocks, and {code} has no chunk that is block "
                f"{bare[0]} as it stands; use decoder={code.default_decoder!r}"
            )

    def recovered(self, code: Code, chunks: IndexArray) -> BoolArray:
        """The blocks with a copy among the results."""
        return np.isin(np.arange(code.k), code.own_blocks[chunks])

    def solve(self, evidence: Evidence) -> Solution:
        """Nothing to solve: every answer is a copy, and its error is zero."""
        return Solution(
            weights=np.zeros((evidence.code.k, len(evidence.chunks))),
            error=np.zeros(evidence.code.k),
        )
