"""The decoder that learns the function's smoothness from the results, and its own error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from dask_bacc.coding._typing import FloatArray
from dask_bacc.coding.codes import Code
from dask_bacc.coding.decoders.base import Decoder, Evidence, Solution
from dask_bacc.coding.kriging.fit import Fit, fit_family
from dask_bacc.coding.kriging.kernels import FAMILIES, Geometry

#: Families with less than this share of the posterior are left out.
SMALLEST_SHARE = 1e-3


@dataclass(frozen=True)
class Kriging(Decoder):
    """Gaussian process regression over the blocks themselves, with an error for every block.

    The function is taken for a draw of a Gaussian process over blocks, with a constant, a linear
    and one of several curved covariances; results and blocks are points whose distances come from
    the blocks' inner products. Fits of the families are averaged by their posterior.

    Choose it for any function: it is exact for affine functions from ``k + 1`` results and for
    quadratic ones once the results determine them.

    Notes
    -----
    Give the blocks' inner products to `dask_bacc.coding.decode` as `gram`. Without them blocks are
    taken for unrelated and equally large. With `p` outputs the error estimate is widened by
    ``sqrt(1 + 2 / p)``, since hyper-parameters that few outputs choose are themselves uncertain.

    References
    ----------
    Rasmussen and Williams, "Gaussian Processes for Machine Learning" (2006), chapters 2 and 5.

    Examples
    --------
    >>> from dask_bacc.coding import Berrut, decode
    >>> code = Berrut(3, 6, systematic=True)
    >>> blocks = np.array([[1.0, 2.0, 0.0], [3.0, 1.0, 2.0], [2.0, 2.0, 5.0]])
    >>> chunks = 2 * code.encode(blocks) + 1
    >>> results = {i: chunks[i] for i in (0, 3, 4, 5)}
    >>> decoded = decode(code, results, "kriging", gram=blocks @ blocks.T)
    >>> np.abs(decoded.blocks - (2 * blocks + 1)).max() < 1e-6
    np.True_
    """

    uses_results: ClassVar[bool] = True
    uses_gram: ClassVar[bool] = True
    estimates_error: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """``"kriging"``."""
        return "kriging"

    def solve(self, evidence: Evidence) -> Solution:
        """Weights and RMS errors, averaged over families."""
        assert evidence.results_gram is not None
        results = evidence.results_gram
        code = evidence.code
        m, outputs = len(results), evidence.outputs
        size = np.trace(results)
        if not size > 0:
            # All results are zero, and so is every estimate from them.
            return Solution(np.full((code.k, m), 1.0 / m), np.zeros(code.k))
        geometry = _geometry(evidence)
        chunks = slice(code.k, None)
        fits = [
            fit_family(family, geometry.part(chunks, chunks), results * (m / size), outputs)
            for family in FAMILIES
        ]
        costs = np.array([fit.cost for fit in fits])
        shares = np.exp(-outputs * (costs - costs.min()))
        shares[shares < SMALLEST_SHARE * shares.sum()] = 0
        shares /= shares.sum()
        kept = [
            (share, *_predict(fit, geometry, code, results, outputs))
            for share, fit in zip(shares, fits, strict=True)
            if share > 0
        ]
        weights = sum(share * matrix for share, matrix, _ in kept)
        variance = np.zeros(code.k)
        for share, matrix, own in kept:
            apart = matrix - weights
            between = np.einsum("ij,jk,ik->i", apart, results, apart) / outputs
            variance += share * (own + np.maximum(between, 0.0))
        return Solution(np.asarray(weights), np.sqrt((1 + 2 / outputs) * variance))


def _geometry(evidence: Evidence) -> Geometry:
    """How blocks (first) and returned chunks lie to each other, in units of an RMS block."""
    code = evidence.code
    gram = np.eye(code.k) if evidence.gram is None else evidence.gram
    scale = np.mean(np.diag(gram))
    points = np.vstack([np.eye(code.k), code.generator[evidence.chunks]])
    return Geometry.of(points, gram / scale if scale > 0 else gram)


def _predict(
    fit: Fit, geometry: Geometry, code: Code, results: FloatArray, outputs: int
) -> tuple[FloatArray, FloatArray]:
    """Weights of one family's fit and its variance for every block."""
    blocks, chunks = slice(0, code.k), slice(code.k, None)
    factor = cho_factor(fit.results_covariance(geometry.part(chunks, chunks)), lower=True)
    cross = fit.covariance(geometry.part(blocks, chunks))
    prior = np.diag(fit.covariance(geometry.part(blocks, blocks)))
    weights: FloatArray = cho_solve(factor, cross.T).T
    scale = np.trace(cho_solve(factor, results)) / (len(results) * outputs)
    variance = scale * (prior - np.einsum("ij,ij->i", weights, cross))
    return weights, np.maximum(variance, 0.0)
