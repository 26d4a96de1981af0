"""Kriging over blocks and rounds: what the same chunks returned before tells of what is missing.

A function is mapped over the same chunks round after round, with arguments that move a little. Its
results are values of one process over points and rounds, whose covariance is that of the points
times one of how far the arguments have moved.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log

import numpy as np
from scipy.linalg import lapack

from dask_bacc.coding._typing import BoolArray, FloatArray, IndexArray
from dask_bacc.coding.kriging.cholesky import diagonal, factorised, inverse_of
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
#: Results of this round that count as if they were foreseen as well as they should be.
BELIEVED = 2.0
#: Independent numbers in a result, at most: more would leave the prior nothing to say.
MOST_OUTPUTS = 30
#: Shape of the covariance of points beside the constant and the linear term.
FAMILY = Family("Matérn 3/2", matern_3_2, 1.0)


@dataclass(frozen=True, eq=False)
class Rounds:
    """Results of chunks in several rounds, and the blocks in this one.

    Blocks come first, and then results, in all matrices.
    """

    #: number of blocks
    k: int
    #: of the points
    geometry: Geometry
    #: ``(k + m, k + m)`` by how many usual steps arguments differ; 0 in the same round
    moved: FloatArray
    #: ``(m, m)`` inner products of the results, in any unit
    gram: FloatArray
    #: numbers in a result, and how many of them are taken to be independent
    count: int
    outputs: float
    #: ``(m,)`` whether results are of this round
    fresh: BoolArray
    #: ``(m,)`` blocks whose own results they are; -1 for mixtures
    own: IndexArray

    @classmethod
    def of(
        cls,
        generator: FloatArray,
        own_blocks: IndexArray,
        blocks_gram: FloatArray,
        chunks: IndexArray,
        rounds: IndexArray,
        steps: FloatArray,
        gram: FloatArray,
        count: int,
    ) -> Rounds:
        """Results of some chunks in some rounds.

        Parameters
        ----------
        generator, own_blocks : (n, k) and (n,) ndarrays
            Of the code.
        blocks_gram : (k, k) ndarray
            Inner products of the blocks.
        chunks, rounds : (m,) ndarrays of int
            Of the results; rounds number the rows of `steps`, of which the last is this one.
        steps : (r, r) ndarray
            By how many usual steps the arguments of rounds differ.
        gram, count
            As in the class.
        """
        k = generator.shape[1]
        unit = float(np.trace(blocks_gram)) / k or 1.0
        points = np.vstack([np.eye(k), generator[chunks]])
        when = np.concatenate([np.full(k, len(steps) - 1), rounds])
        fresh = np.asarray(rounds == len(steps) - 1)
        geometry = Geometry.of(points, blocks_gram / unit)
        moved = steps[np.ix_(when, when)]
        outputs = float(min(count, MOST_OUTPUTS))
        return cls(k, geometry, moved, gram, count, outputs, fresh, own_blocks[chunks])

    @property
    def results(self) -> IndexArray:
        """Places of the results."""
        return np.arange(self.k, self.k + len(self.gram))


@dataclass(frozen=True, eq=False)
class Remembered:
    """What all rounds tell of the blocks in this one."""

    #: ``(k, m)`` weights of the results in the blocks' answers
    weights: FloatArray
    #: ``(k, k)`` covariance of the blocks' errors, mean over outputs
    covariance: FloatArray
    #: hyper-parameters, from which the next round's search starts
    parameters: FloatArray
    #: by how much errors of results of this round, each left out, were larger than foreseen
    surprise: float

    def variance(self, row: FloatArray) -> float:
        """Variance of a combination of the blocks, mean over outputs."""
        return max(float(row @ self.covariance @ row), 0.0)


def remember(rounds: Rounds, start: FloatArray | None = None) -> Remembered:
    """Answers for the blocks of this round from results of this one and of earlier ones.

    Blocks whose own results are of this round are these, without error.

    Parameters
    ----------
    rounds : Rounds
    start : (7,) ndarray, optional
        Hyper-parameters of the round before.

    References
    ----------
    Rasmussen and Williams, "Gaussian Processes for Machine Learning" (2006), eqs. 2.25, 2.26, 5.8
    and 5.9; eqs. 5.10 to 5.12 for results that are left out.
    """
    likelihood = _Likelihood(rounds)
    parameters = likelihood.search(start)
    blocks, results = np.arange(rounds.k), rounds.results
    among = likelihood.covariance(parameters, results, results)
    among[np.diag_indices(len(among))] += (
        (exp(parameters[4]) + JITTER) * float(np.trace(among)) / len(among)
    )
    inverse = inverse_of(factorised(among))
    cross = likelihood.covariance(parameters, blocks, results)
    weights = cross @ inverse
    explained = inverse @ rounds.gram
    scale = float(np.trace(explained)) / (len(among) * rounds.count)
    left = likelihood.covariance(parameters, blocks, blocks) - weights @ cross.T
    # What each result is off where the others foretell it, over what it may be.
    missed = np.einsum("ij,ji->i", explained, inverse) / np.diag(inverse)
    unit = scale * rounds.count or 1.0
    fresh = np.flatnonzero(rounds.fresh)
    square = (float((missed[fresh] / unit).sum()) + BELIEVED) / (len(fresh) + BELIEVED)
    places = np.flatnonzero(rounds.fresh & (rounds.own >= 0))
    there = rounds.own[places]
    weights[there] = 0.0
    weights[there, places] = 1.0
    left[there] = left[:, there] = 0.0
    return Remembered(weights, scale * max(square, 1.0) * left, parameters, math.sqrt(square))


class _Likelihood:
    """The negative log posterior of the hyper-parameters, per output.

    Logarithms of the weights of the constant, the linear and the curved term, of the curved one's
    length, of the nugget in units of the mean variance, and of the memory of the constant term and
    of the others, in steps.
    """

    def __init__(self, rounds: Rounds) -> None:
        self._rounds = rounds
        results = rounds.results
        self._geometry = rounds.geometry.among(results)
        self._moved = rounds.moved[np.ix_(results, results)]

    def covariance(
        self, parameters: FloatArray, left: IndexArray, right: IndexArray
    ) -> FloatArray:
        """Of the process at these places."""
        constant, linear, weight = np.exp(parameters[:3])
        geometry = self._rounds.geometry.between(left, right)
        moved = self._rounds.moved[np.ix_(left, right)]
        value, _ = FAMILY.shape(geometry, parameters[3])
        common, _ = _alike(moved, parameters[5])
        own, _ = _alike(moved, parameters[6])
        found: FloatArray = constant * common + (linear * geometry.inner + weight * value) * own
        return found

    def search(self, start: FloatArray | None) -> FloatArray:
        """The likeliest parameters."""
        usual = [0.0, 0.0, 0.0, FAMILY.log_length, NO_NOISE / 2, USUAL_MEMORY, USUAL_MEMORY]
        begin = usual if start is None else start.tolist()
        memory = (SHORTEST_MEMORY, LONGEST_MEMORY)
        box = [(LOWEST, HIGHEST)] * 3 + [(SHORTEST, LONGEST), (NO_NOISE, NOISIEST), memory, memory]
        outputs = self._rounds.outputs
        found, _ = descend(self.cost, begin, box, lambda gain, _: outputs * gain < LAST_GAIN)
        return np.array(found)

    def cost(self, parameters: Sequence[float]) -> tuple[float, list[float]]:
        """Value and gradient; the scale of the covariance is profiled out."""
        geometry, gram = self._geometry, self._rounds.gram
        m = len(gram)
        constant, linear, weight = map(exp, parameters[:3])
        nugget = exp(parameters[4])
        value, by_length = FAMILY.shape(geometry, parameters[3])
        common, by_common = _alike(self._moved, parameters[5])
        own, by_own = _alike(self._moved, parameters[6])
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
        outputs = self._rounds.outputs
        pulls = [a / (s * s * outputs) for a, s in zip(away, spreads, strict=True)]
        cost = 0.5 * sum(a * pull for a, pull in zip(away, pulls, strict=True))
        both = -pulls[0] - pulls[1]
        return cost, [pulls[0], pulls[1], both, pulls[2], 0.0, pulls[3], pulls[4]]


def _alike(moved: FloatArray, log_memory: float) -> tuple[FloatArray, FloatArray]:
    """How alike results stay while arguments move so far, and its derivative by the memory."""
    ratio = math.sqrt(3) * np.exp(-log_memory) * moved
    decay = np.exp(-ratio)
    return (1 + ratio) * decay, ratio**2 * decay
