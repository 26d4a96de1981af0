"""How likely results of several rounds are, by how alike points and rounds are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log

import numpy as np
from scipy.linalg import lapack

from dask_bacc.coding._typing import FloatArray
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
from dask_bacc.coding.kriging.kernels import Family, Geometry, matern_3_2
from dask_bacc.coding.kriging.search import descend

#: Rounds over which results stay alike, in steps of the arguments: the logarithm of what is usual,
#: how far it may be off, and bounds. Of an iteration that converges they stay so for very long.
USUAL_MEMORY, MEMORY_SPREAD = 2.5, 2.0
SHORTEST_MEMORY, LONGEST_MEMORY = -3.0, 14.0
#: Logarithm of the largest nugget: results of smooth functions are nearly without noise.
NOISIEST = -4.0
#: Shape of the covariance of points beside the constant and the linear term.
FAMILY = Family("Matérn 3/2", matern_3_2, 1.0)


def shape_of(parameters: FloatArray, geometry: Geometry, moved: FloatArray) -> FloatArray:
    """Covariance of points that lie so to each other, in rounds whose arguments moved so far."""
    constant, linear, weight = np.exp(parameters[:3])
    value, _ = FAMILY.shape(geometry, parameters[3])
    common, _ = _alike(moved, parameters[5])
    own, _ = _alike(moved, parameters[6])
    found: FloatArray = constant * common + (linear * geometry.inner + weight * value) * own
    return found


@dataclass(frozen=True, eq=False)
class Likelihood:
    """The negative log posterior of the hyper-parameters, per output.

    Logarithms of the weights of the constant, the linear and the curved term, of the curved one's
    length, of the nugget in units of the mean variance, and of the memory of the constant term and
    of the others, in steps.
    """

    #: of the results
    geometry: Geometry
    #: ``(m, m)`` by how many usual steps the arguments of their rounds differ
    moved: FloatArray
    #: ``(m, m)`` their inner products
    gram: FloatArray
    #: numbers in a result that are taken to be independent
    outputs: float

    def search(self, start: FloatArray | None) -> FloatArray:
        """The likeliest parameters."""
        usual = [0.0, 0.0, 0.0, FAMILY.log_length, NO_NOISE / 2, USUAL_MEMORY, USUAL_MEMORY]
        begin = usual if start is None else start.tolist()
        memory = (SHORTEST_MEMORY, LONGEST_MEMORY)
        box = [(LOWEST, HIGHEST)] * 3 + [(SHORTEST, LONGEST), (NO_NOISE, NOISIEST), memory, memory]
        outputs = self.outputs
        found, _ = descend(self.cost, begin, box, lambda gain, _: outputs * gain < LAST_GAIN)
        return np.array(found)

    def cost(self, parameters: Sequence[float]) -> tuple[float, list[float]]:
        """Value and gradient; the scale of the covariance is profiled out."""
        geometry, gram = self.geometry, self.gram
        m = len(gram)
        constant, linear, weight = map(exp, parameters[:3])
        nugget = exp(parameters[4])
        value, by_length = FAMILY.shape(geometry, parameters[3])
        common, by_common = _alike(self.moved, parameters[5])
        own, by_own = _alike(self.moved, parameters[6])
        shape = linear * geometry.inner + weight * value
        covariance = constant * common + shape * own
        variance = float(np.trace(covariance))
        covariance[np.diag_indices(m)] += (nugget + JITTER) * variance / m
        factor, failed = lapack.dpotrf(covariance.T, lower=1, overwrite_a=1)
        if failed:
            return IMPOSSIBLE, [0.0] * 7
        log_determinant = 2 * float(np.log(np.diag(factor)).sum())
        inverse = inverse_of(factor, overwrite=True)
        explained = inverse @ gram
        trace = float(np.trace(explained))
        if not trace > 0:
            return IMPOSSIBLE, [0.0] * 7
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
        ]
        total = [a + b for a, b in zip(gradient, slope, strict=True)]
        return 0.5 * (m * log(trace / m) + log_determinant) + prior, total

    def _prior(self, parameters: Sequence[float]) -> tuple[float, list[float]]:
        """Its part of the cost and of the gradient."""
        constant, linear, weight, length, _, common, own = parameters
        away = (
            constant - weight,
            linear - weight,
            length - FAMILY.log_length,
            common - USUAL_MEMORY,
            own - USUAL_MEMORY,
        )
        spreads = (*SPREADS, MEMORY_SPREAD, MEMORY_SPREAD)
        outputs = self.outputs
        pulls = [a / (s * s * outputs) for a, s in zip(away, spreads, strict=True)]
        cost = 0.5 * sum(a * pull for a, pull in zip(away, pulls, strict=True))
        both = -pulls[0] - pulls[1]
        return cost, [pulls[0], pulls[1], both, pulls[2], 0.0, pulls[3], pulls[4]]


def _alike(moved: FloatArray, log_memory: float) -> tuple[FloatArray, FloatArray]:
    """How alike results stay while arguments move so far, and its derivative by the memory."""
    ratio = math.sqrt(3) * np.exp(-log_memory) * moved
    decay = np.exp(-ratio)
    return (1 + ratio) * decay, ratio**2 * decay
