"""How likely results of several rounds are, by how alike points and rounds are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from math import exp

import numpy as np

from dask_bacc.coding._typing import FloatArray, IndexArray
from dask_bacc.coding.kriging.fit import (
    HIGHEST,
    LAST_GAIN,
    LONGEST,
    LOWEST,
    NO_NOISE,
    SHORTEST,
    SPREADS,
)
from dask_bacc.coding.kriging.kernels import Family, Geometry, matern_3_2, off_mean
from dask_bacc.coding.kriging.likelihood import Prior, profiled
from dask_bacc.coding.kriging.search import Cost, descend

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
    *(0.0, 0.0, 0.0, FAMILY.log_length),
    *(USUAL_MEMORY, USUAL_MEMORY, USUAL_OUTWARD, NO_NOISE),
)
#: What the prior knows of: weights over the curved term's, its length, memories, and the outward
#: weight.
BELIEFS = np.zeros((6, 8))
BELIEFS[[0, 1, 2, 3, 4, 5], [0, 1, 3, 4, 5, 6]] = 1.0
BELIEFS[[0, 1, 5], 2] = -1.0


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
        common, _ = _alike(self.moved, parameters[4])
        own, _ = _alike(self.moved, parameters[5])
        outward = exp(parameters[6]) * self.outward
        found: FloatArray = constant * common
        found += (linear * self.geometry.inner + weight * value + outward) * own
        return found


@dataclass(frozen=True, eq=False)
class Likelihood:
    """The negative log posterior of the hyper-parameters, per output.

    Logarithms of the weights of the constant, the linear and the curved term, of the curved one's
    length, of the memory of the constant term and of the others, in steps, of the weight of the
    outward term, and of the nugget in units of the mean variance.
    """

    #: of the results
    between: Between
    #: ``(m, m)`` their inner products
    gram: FloatArray
    #: numbers in a result that are taken to be independent
    outputs: float

    def search(self, start: FloatArray | None) -> FloatArray:
        """The likeliest parameters."""
        begin = np.array([*USUAL[:6], OUTWARD_START, NO_NOISE / 2]) if start is None else start
        low = [*[LOWEST] * 3, SHORTEST, *[SHORTEST_MEMORY] * 2, LOWEST, NO_NOISE]
        high = [*[HIGHEST] * 3, LONGEST, *[LONGEST_MEMORY] * 2, HIGHEST, NOISIEST]
        outputs = self.outputs
        found, _ = descend(
            self.cost,
            begin,
            np.array(low),
            np.array(high),
            lambda gain, *_: outputs * gain < LAST_GAIN,
        )
        return found

    def cost(self, parameters: FloatArray) -> Cost:
        """Value, gradient and information; the scale of the covariance is profiled out."""
        between = self.between
        constant, linear, weight, length, common, own, outward, nugget = parameters.tolist()
        value, by_length = FAMILY.shape(between.geometry, length)
        steady, by_common = _alike(between.moved, common)
        alike, by_own = _alike(between.moved, own)
        parts = np.empty((8, *value.shape))
        parts[0] = exp(constant) * steady
        parts[1] = exp(linear) * between.geometry.inner
        parts[2] = exp(weight) * value
        parts[3] = exp(weight) * by_length * alike
        parts[4] = exp(constant) * by_common
        parts[6] = exp(outward) * between.outward
        parts[5] = (parts[1] + parts[2] + parts[6]) * by_own
        parts[[1, 2, 6]] *= alike
        parts[7] = 0.0
        covariance = parts[[0, 1, 2, 6]].sum(axis=0)
        return self._prior.added_to(
            profiled(covariance, parts, exp(nugget), self.gram), parameters
        )

    @cached_property
    def _prior(self) -> Prior:
        means = [0.0, 0.0, FAMILY.log_length, USUAL_MEMORY, USUAL_MEMORY, USUAL_OUTWARD]
        spreads = [*SPREADS, MEMORY_SPREAD, MEMORY_SPREAD, OUTWARD_SPREAD]
        return Prior(BELIEFS, np.array(means), np.array(spreads) * math.sqrt(self.outputs))


def _alike(moved: FloatArray, log_memory: float) -> tuple[FloatArray, FloatArray]:
    """How alike results stay while arguments move so far, and its derivative by the memory."""
    ratio = math.sqrt(3) * np.exp(-log_memory) * moved
    decay = np.exp(-ratio)
    return (1 + ratio) * decay, ratio**2 * decay
