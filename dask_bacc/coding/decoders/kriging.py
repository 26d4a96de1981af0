"""The decoder that learns the function's smoothness from the results, and its own error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dask_bacc.coding._typing import BoolArray, IndexArray
from dask_bacc.coding.codes import Code
from dask_bacc.coding.decoders.base import Decoder, Evidence, Solution
from dask_bacc.coding.kriging.ensemble import credible_families, fit_ensemble
from dask_bacc.coding.kriging.kernels import Family, Geometry
from dask_bacc.coding.kriging.observations import Observations
from dask_bacc.coding.kriging.outliers import find_outliers

#: Any three results look like a quadratic function's, and an estimate from them is sure of it.
FEWEST = 4
#: By how much variances are widened with no more results than blocks, over the square of their
#: number: nothing but the prior then tells curved functions from linear ones.
WIDENING = 30.0
#: What is not known of a block may lie all in the direction in which results differ most: its
#: result is then at least by this times the unknown share of their variance from any estimate.
UNKNOWN = 2.0


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
    ``sqrt(1 + 2 / p)``, since hyper-parameters that few outputs choose are themselves uncertain,
    and with `m` results of no more than as many blocks by ``sqrt(1 + 30 / m**2)``. The variance of
    a block that is not wholly known is at least what results differ by, times twice the share that
    is not known.

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

    def recovered(self, code: Code, chunks: IndexArray) -> BoolArray:
        """All blocks from `FEWEST` results on, or as many as there are blocks; else none."""
        return np.full(code.k, len(chunks) >= min(code.k, FEWEST))

    def checks(self, code: Code, count: int) -> bool:
        """Two results more than an affine function needs, and two for each corrupted one."""
        return _most_suspects(code, count) > 0

    def solve(self, evidence: Evidence) -> Solution:
        """Weights and RMS errors, averaged over families."""
        assert evidence.results_gram is not None
        k, m = evidence.code.k, len(evidence.chunks)
        if not np.trace(evidence.results_gram) > 0:
            # All results are zero, and so is every estimate from them.
            return Solution(np.full((k, m), 1.0 / m), np.zeros(k))
        geometry = _geometry(evidence)
        blocks, chunks = np.arange(k), np.arange(k, k + m)
        returned = Observations(geometry.among(chunks), evidence.results_gram, evidence.outputs)
        merging = returned.merging()
        observations = returned.merged(merging)
        points = chunks[np.argmax(merging > 0, axis=1)]
        families = _families(geometry, points, k)
        telling = observations.telling
        learnt = observations.among(telling)
        ensemble = fit_ensemble(learnt, families, evidence.memory.get(self.name))
        most = _most_suspects(evidence.code, observations.count)
        aside = telling[find_outliers(learnt, ensemble, most, families)]
        suspects = np.flatnonzero(merging[aside].any(axis=0))
        if len(aside):
            merging, points = np.delete(merging, aside, axis=0), np.delete(points, aside)
            observations = returned.merged(merging)
            learnt = observations.among(observations.telling)
            ensemble = fit_ensemble(learnt, _families(geometry, points, k))
        evidence.memory[self.name] = ensemble
        weights, variance = ensemble.predict(
            observations, geometry.between(blocks, points), geometry.among(blocks)
        )
        if observations.count <= k:
            variance = (1 + WIDENING / observations.count**2) * variance
        if evidence.unknown is not None and observations.count > 1:
            # A covariance learns how curved a function is from results that are close together,
            # and has little to say of blocks that may be anywhere.
            apart = observations.spread / observations.outputs
            apart *= observations.count / (observations.count - 1)
            variance = np.maximum(variance, np.minimum(UNKNOWN * evidence.unknown, 1) * apart)
        return Solution(
            weights @ merging,
            np.sqrt(variance),
            kernel=ensemble.best.family.name,
            noise=np.sqrt(ensemble.noise_variance(observations)),
            suspects=suspects,
        )


def _families(geometry: Geometry, returned: IndexArray, k: int) -> tuple[Family, ...]:
    """The families to consider, blocks that are among the returned points left out."""
    near = geometry.between(np.arange(k), returned)
    unknown = np.flatnonzero(~near.coincident.any(axis=1))
    order = np.concatenate([returned, unknown])
    return credible_families(geometry.among(order), np.arange(len(returned)))


def _most_suspects(code: Code, count: int) -> int:
    return (count - code.k - 2) // 2


def _geometry(evidence: Evidence) -> Geometry:
    """How blocks (first) and returned chunks lie to each other, in units of an RMS block."""
    code = evidence.code
    if evidence.gram is None and code.data_nodes is not None and code.chunk_nodes is not None:
        # All that is known of the blocks is that chunks vary smoothly along the nodes.
        nodes = np.concatenate([code.data_nodes, code.chunk_nodes[evidence.chunks]])
        return Geometry.of(nodes[:, None], np.eye(1) / np.mean(nodes**2))
    gram = np.eye(code.k) if evidence.gram is None else evidence.gram
    scale = np.mean(np.diag(gram))
    points = np.vstack([np.eye(code.k), code.generator[evidence.chunks]])
    return Geometry.of(points, gram / scale if scale > 0 else gram)
