"""How likely results of several rounds are, by how alike points and rounds are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log

import numpy as np
from scipy.linalg import lapack

from dask_bacc.coding._typing import FloatArray, IndexArray
from dask_bacc.coding.kriging.cholesky import diagonal, inverse_of
from dask_bacc.coding.kriging.fit import (
    HIGHEST,
    IMPOSSIBLE,
    JITTER,
    LAST_GAIN,
    LONGEST,
    LOWEST,
    NO_NOISE,
    SHORTEST,
    SPREADS,
)
from dask_bacc.coding.kriging.kernels import Family, Geometry, matern_3_2, off_mean
from dask_bacc.coding.kriging.search import descend

#: Rounds over which results stay alike, in steps of the arguments: the logarithm of what is usual,
#: how far it may be off, and bounds. Of an iteration that converges they stay so for very long.
USUAL_MEMORY, MEMORY_SPREAD = 2.5, 2.0
SHORTEST_MEMORY, LONGEST_MEMORY = -3.0, 14.0
#: Logarithm of the weight of what points have in common that are equally far out, over that of the
#: curved term: what is usual, how far it may be off, and where the search starts.
USUAL_OUTWARD, OUTWARD_SPREAD, OUTWARD_START = -6.0, 6.0, -4.0
#: Logarithm of the largest nugget: results of smooth functions are nearly without noise.
NOISIEST = -4.0
#: Shape of the covariance of points beside the constant and the linear term.
FAMILY = Family("Matérn 3/2", matern_3_2, 1.0)


#: Hyper-parameters of a function of which nothing is known.
USUAL = (
    *(0.0, 0.0, 0.0, FAMILY.log_length, NO_NOISE),
    *(USUAL_MEMORY, USUAL_MEMORY, USUAL_OUTWARD),
)


@dataclass(frozen=True, eq=False)
class Between:
    """How the places of two sets lie to each other, points in rounds."""

    geometry: Geometry
    #: ``(a, b)`` products of squared distances from the blocks' mean, where a block's is 1
    outward: FloatArray
    #: ``(a, b)`` by how many usual steps the arguments of the rounds differ
    moved: FloatArray

    @classmethod
    def of(cls, points: FloatArray, blocks_gram: FloatArray, moved: FloatArray) -> Between:
        """Of places to each other.

        Parameters
        ----------
        points : (a, k) ndarray
            Each as a combination of the blocks.
        blocks_gram : (k, k) ndarray
            Inner products of the blocks.
        moved : (a, a) ndarray
            As in the class.
        """
        inner = off_mean(blocks_gram)
        unit = float(np.trace(inner)) / len(inner) or 1.0
        outward = np.einsum("ij,jk,ik->i", points, inner, points) / unit
        return cls(Geometry.of(points, blocks_gram), np.outer(outward, outward), moved)

    def among(self, left: IndexArray, right: IndexArray) -> Between:
        """Of some places to others."""
        both = np.ix_(left, right)
        return Between(self.geometry.between(left, right), self.outward[both], self.moved[both])

    def covariance(self, parameters: FloatArray) -> FloatArray:
        """Of the process, by its hyper-parameters."""
        constant, linear, weight = np.exp(parameters[:3])
        value, _ = FAMILY.shape(self.geometry, parameters[3])
        common, _ = _alike(self.moved, parameters[5])
        own, _ = _alike(self.moved, parameters[6])
        outward = exp(parameters[7]) * self.outward
        found: FloatArray = constant * common
        found += (linear * self.geometry.inner + weight * value + outward) * own
        return found


@dataclass(frozen=True, eq=False)
class Likelihood:
    """The negative log posterior of the hyper-parameters, per output.

    Logarithms of the weights of the constant, the linear and the curved term, of the curved one's
    length, of the nugget in units of the mean variance, of the memory of the constant term and of
    the others, in steps, and of the weight of the outward term.
    """

    #: of the results
    between: Between
    #: ``(m, m)`` their inner products
    gram: FloatArray
    #: numbers in a result that are taken to be independent
    outputs: float

    def search(self, start: FloatArray | None) -> FloatArray:
        """The likeliest parameters."""
        begin = [*USUAL[:4], NO_NOISE / 2, *USUAL[5:7], OUTWARD_START]
        if start is not None:
            begin = start.tolist()
        weight, memory = (LOWEST, HIGHEST), (SHORTEST_MEMORY, LONGEST_MEMORY)
        box = [weight] * 3 + [(SHORTEST, LONGEST), (NO_NOISE, NOISIEST), memory, memory, weight]
        outputs = self.outputs
        found, _ = descend(self.cost, begin, box, lambda gain, _: outputs * gain < LAST_GAIN)
        return np.array(found)

    def cost(self, parameters: Sequence[float]) -> tuple[float, list[float]]:
        """Value and gradient; the scale of the covariance is profiled out."""
        between, gram = self.between, self.gram
        geometry, m = between.geometry, len(gram)
        constant, linear, weight = map(exp, parameters[:3])
        nugget = exp(parameters[4])
        value, by_length = FAMILY.shape(geometry, parameters[3])
        common, by_common = _alike(between.moved, parameters[5])
        own, by_own = _alike(between.moved, parameters[6])
        outward = exp(parameters[7]) * between.outward
        shape = linear * geometry.inner + weight * value + outward
        covariance = constant * common + shape * own
        variance = float(np.trace(covariance))
        covariance[np.diag_indices(m)] += (nugget + JITTER) * variance / m
        factor, failed = lapack.dpotrf(covariance.T, lower=1, overwrite_a=1)
        if failed:
            return IMPOSSIBLE, [0.0] * len(parameters)
        log_determinant = 2 * float(np.log(np.diag(factor)).sum())
        inverse = inverse_of(factor, overwrite=True)
        explained = inverse @ gram
        trace = float(np.trace(explained))
        if not trace > 0:
            return IMPOSSIBLE, [0.0] * len(parameters)
        pull = 0.5 * (inverse - (m / trace) * explained @ inverse)
        by_variance = diagonal(pull)
        by_mean_variance = nugget * float(by_variance.sum()) / m
        by_variance += by_mean_variance
        prior, slope = self._prior(parameters)
        pulled = pull * own
        gradient = [
            constant * float(np.vdot(common, pull)),
            linear * float(np.vdot(geometry.inner, pulled)),
            weight * float(np.vdot(value, pulled)),
            weight * float(np.vdot(by_length, pulled)),
            by_mean_variance * variance,
            constant * float(np.vdot(by_common, pull)),
            float(np.vdot(shape * by_own, pull)),
            float(np.vdot(outward, pulled)),
        ]
        total = [a + b for a, b in zip(gradient, slope, strict=True)]
        return 0.5 * (m * log(trace / m) + log_determinant) + prior, total

    def _prior(self, parameters: Sequence[float]) -> tuple[float, list[float]]:
        """Its part of the cost and of the gradient."""
        constant, linear, weight, length, _, common, own, outward = parameters
        away = (
            constant - weight,
            linear - weight,
            length - FAMILY.log_length,
            common - USUAL_MEMORY,
            own - USUAL_MEMORY,
            outward - weight - USUAL_OUTWARD,
        )
        spreads = (*SPREADS, MEMORY_SPREAD, MEMORY_SPREAD, OUTWARD_SPREAD)
        outputs = self.outputs
        pulls = [a / (s * s * outputs) for a, s in zip(away, spreads, strict=True)]
        cost = 0.5 * sum(a * pull for a, pull in zip(away, pulls, strict=True))
        of_weight = -pulls[0] - pulls[1] - pulls[5]
        return cost, [*pulls[:2], of_weight, pulls[2], 0.0, *pulls[3:]]


def _alike(moved: FloatArray, log_memory: float) -> tuple[FloatArray, FloatArray]:
    """How alike results stay while arguments move so far, and its derivative by the memory."""
    ratio = math.sqrt(3) * np.exp(-log_memory) * moved
    decay = np.exp(-ratio)
    return (1 + ratio) * decay, ratio**2 * decay
