"""Kriging over blocks and rounds: what the same chunks returned before tells of what is missing.

A function is mapped over the same chunks round after round, with arguments that move a little. Its
results are values of one process over points and rounds, whose covariance is that of the points
times one of how far the arguments have moved.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from math import exp

import numpy as np
from scipy.linalg import lapack

from dask_bacc.coding._typing import BoolArray, FloatArray, IndexArray
from dask_bacc.coding.kriging.cholesky import factorised, inverse_of
from dask_bacc.coding.kriging.likelihood import effective_outputs, nugget_variance
from dask_bacc.coding.kriging.rounds_likelihood import Between, Likelihood

#: Results of this round that count as if they were foreseen as well as they should be.
BELIEVED = 2.0
#: Independent numbers in a result, at most: more would leave the prior nothing to say.
MOST_OUTPUTS = 30


@dataclass(frozen=True, eq=False)
class Rounds:
    """Results of chunks in several rounds.

    Places in matrices are numbered so: blocks in this round, then results, then all chunks in this
    round.
    """

    #: ``(n, k)`` of the code
    generator: FloatArray
    #: ``(k, k)`` inner products of the blocks, of mean square norm 1
    blocks_gram: FloatArray
    #: ``(m, k)`` rows of the generator of the chunks whose results they are
    rows: FloatArray
    #: ``(m,)`` blocks whose own results they are; -1 for mixtures
    own: IndexArray
    #: ``(m,)`` rows of `steps`
    rounds: IndexArray
    #: ``(r, r)`` by how many usual steps the arguments of rounds differ; this round is the last
    steps: FloatArray
    #: ``(m, m)`` inner products of the results, in any unit
    gram: FloatArray
    #: numbers in a result
    count: int

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
        """Results of some chunks in some rounds, over blocks in any unit.

        Parameters
        ----------
        own_blocks : (n,) ndarray
            Of the code.
        blocks_gram : (k, k) ndarray
            Inner products of the blocks.
        chunks : (m,) ndarray of int
            Of the results.
        generator, rounds, steps, gram, count
            As in the class.
        """
        k = generator.shape[1]
        unit = float(np.trace(blocks_gram)) / k or 1.0
        rows, own = generator[chunks], own_blocks[chunks]
        return cls(generator, blocks_gram / unit, rows, own, rounds, steps, gram, count)

    @property
    def k(self) -> int:
        """Number of blocks."""
        return int(self.generator.shape[1])

    @property
    def fresh(self) -> BoolArray:
        """``(m,)`` whether results are of this round."""
        found: BoolArray = self.rounds == len(self.steps) - 1
        return found

    @property
    def blocks(self) -> IndexArray:
        """Places of the blocks."""
        return np.arange(self.k)

    @property
    def results(self) -> IndexArray:
        """Places of the results."""
        return np.arange(self.k, self.k + len(self.rows))

    @property
    def all_chunks(self) -> IndexArray:
        """Places of all chunks in this round."""
        first = self.k + len(self.rows)
        return np.arange(first, first + len(self.generator))

    def likelihood(self) -> Likelihood:
        """Of hyper-parameters, given the results."""
        results = self.results
        outputs = float(min(self.count, MOST_OUTPUTS))
        return Likelihood(self._between.among(results, results), self.gram, outputs)

    def covariance(
        self, parameters: FloatArray, left: IndexArray, right: IndexArray
    ) -> FloatArray:
        """Of the process at these places."""
        return self._between.among(left, right).covariance(parameters)

    @cached_property
    def _between(self) -> Between:
        now = len(self.steps) - 1
        n, k = self.generator.shape
        points = np.vstack([np.eye(k), self.rows, self.generator])
        when = np.concatenate([np.full(k, now), self.rounds, np.full(n, now)])
        return Between.of(points, self.blocks_gram, self.steps[np.ix_(when, when)])


def nugget(parameters: FloatArray, among: FloatArray) -> float:
    """What is noise in results that have this covariance without it."""
    return nugget_variance(among, exp(parameters[-1]))


def _explained(
    among: FloatArray, noise: float, cross: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Cholesky factor of the results' covariance, and by it what they explain of other places.

    The latter times its own transpose is the variance that they take away.
    """
    factor = factorised(among + noise * np.eye(len(among)))
    half, _ = lapack.dtrtrs(factor, cross, lower=1)
    return factor, half


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
    #: ``(k,)`` whether blocks' own results are of this round
    returned: BoolArray
    #: variance of a result, mean over outputs, where the process's own is 1
    scale: float
    #: independent outputs that would scatter as the results' do
    outputs: float
    #: what further results of this round would leave unknown
    outlook: RoundsOutlook

    def variance(self, row: FloatArray) -> float:
        """Variance of a combination of the blocks, mean over outputs."""
        return max(float(row @ self.covariance @ row), 0.0)


def remember(
    rounds: Rounds, start: FloatArray | None = None, *, search: bool = True
) -> Remembered:
    """Answers for the blocks of this round from results of this one and of earlier ones.

    Blocks whose own results are of this round are these, without error.

    Parameters
    ----------
    rounds : Rounds
    start : (8,) ndarray, optional
        Hyper-parameters of the round before.
    search : bool
        Whether to look for likelier ones, where there are any to start from.

    References
    ----------
    Rasmussen and Williams, "Gaussian Processes for Machine Learning" (2006), eqs. 2.25, 2.26, 5.8
    and 5.9; eqs. 5.10 to 5.12 for results that are left out.
    """
    parameters = rounds.likelihood().search(start) if search or start is None else start
    among = rounds.covariance(parameters, rounds.results, rounds.results)
    noise = nugget(parameters, among)
    cross = rounds.covariance(parameters, rounds.results, rounds.blocks)
    factor, half = _explained(among, noise, cross)
    solved, _ = lapack.dtrtrs(factor, half, lower=1, trans=1)
    weights = np.ascontiguousarray(solved.T)
    inverse = inverse_of(factor)
    explained = inverse @ rounds.gram
    scale = float(np.trace(explained)) / (len(among) * rounds.count)
    left = rounds.covariance(parameters, rounds.blocks, rounds.blocks) - half.T @ half
    # Nothing is known better than one result tells of it.
    left[np.diag_indices(rounds.k)] = np.maximum(np.diag(left), noise)
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
    scale *= max(square, 1.0)
    returned = np.isin(rounds.blocks, there)
    return Remembered(
        weights,
        scale * left,
        parameters,
        math.sqrt(square),
        returned,
        scale,
        effective_outputs(factor, rounds.gram, rounds.count),
        RoundsOutlook(rounds, parameters),
    )


@dataclass(frozen=True, eq=False)
class RoundsOutlook:
    """Variances that results of more chunks in this round would leave, beside earlier ones.

    References
    ----------
    Rasmussen and Williams, "Gaussian Processes for Machine Learning" (2006), eq. 2.26.
    """

    rounds: Rounds
    parameters: FloatArray

    def of(self, generator: FloatArray) -> RoundsOutlook:
        """The same for the chunks of another code over the same blocks."""
        return replace(self, rounds=replace(self.rounds, generator=generator))

    def variance(self, chunks: IndexArray) -> FloatArray:
        """``(k,)`` variances of the blocks, given results of these chunks; up to a factor."""
        return np.diag(self.left_by(chunks))

    def left_by(self, chunks: IndexArray) -> FloatArray:
        """``(k, k)`` covariance of the blocks, given results of these chunks; up to a factor."""
        k = self.rounds.k
        covariance = self._before
        if not len(chunks):
            return covariance[:k, :k].copy()
        points = k + np.asarray(chunks)
        among, noise = covariance[np.ix_(points, points)], nugget(self.parameters, covariance)
        _, half = _explained(among, noise, covariance[points, :k])
        left: FloatArray = covariance[:k, :k] - half.T @ half
        left[np.diag_indices(k)] = np.maximum(np.diag(left), 0.0)
        return left

    @cached_property
    def _before(self) -> FloatArray:
        """Covariance of the blocks, and of all chunks, given the results of earlier rounds."""
        rounds, parameters = self.rounds, self.parameters
        places = np.concatenate([rounds.blocks, rounds.all_chunks])
        covariance = rounds.covariance(parameters, places, places)
        earlier = rounds.results[~rounds.fresh]
        if not len(earlier):
            return covariance
        among = rounds.covariance(parameters, earlier, earlier)
        cross = rounds.covariance(parameters, earlier, places)
        _, half = _explained(among, nugget(parameters, among), cross)
        left: FloatArray = covariance - half.T @ half
        return left
