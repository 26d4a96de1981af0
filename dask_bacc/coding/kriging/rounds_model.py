"""How far off rounds would be, before there are any: what memory is worth, for simulations."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np

from dask_bacc.coding._typing import FloatArray
from dask_bacc.coding.codes import Code
from dask_bacc.coding.kriging.rounds import Rounds, RoundsOutlook
from dask_bacc.coding.kriging.rounds_likelihood import USUAL, USUAL_MEMORY

#: Of results of some chunks.
Error = Callable[[Collection[int]], float]


@dataclass(frozen=True, eq=False)
class RoundsModel:
    """A function whose results over points and rounds are those of a Gaussian process.

    Examples
    --------
    >>> from dask_bacc import coding
    >>> code = coding.get_code("systematic", 4, 6)
    >>> model = RoundsModel.usual(code, np.eye(4))
    >>> alone, after = model.error([], 0), model.error([(3, 0)], 1)
    >>> alone([0, 1, 2]) > after([0, 1, 2]) > after([0, 1, 2, 3])
    True
    """

    code: Code
    #: ``(k, k)`` inner products of the blocks
    blocks_gram: FloatArray
    #: hyper-parameters, as `remember` finds them
    parameters: FloatArray
    #: error of a round by itself with results of some chunks, if more is known of it than this
    alone: Error | None = None

    @classmethod
    def usual(
        cls,
        code: Code,
        blocks_gram: FloatArray,
        memory: float = USUAL_MEMORY,
        alone: Error | None = None,
    ) -> RoundsModel:
        """With hyper-parameters as they usually are, and results that stay alike for so long.

        Parameters
        ----------
        memory : float
            Logarithm of the rounds over which results stay alike.
        alone : callable, optional
            As in the class.
        """
        parameters = np.array([*USUAL[:4], memory, memory, *USUAL[6:]])
        return cls(code, blocks_gram, parameters, alone)

    def error(self, past: Sequence[tuple[int, int]], turn: int) -> Error:
        """Error of the sum over blocks once some chunks of a round are in, over its usual size.

        Parameters
        ----------
        past : sequence of pairs of int
            Chunks that returned before, with their rounds.
        turn : int
            Number of the round; arguments move by one step in each.
        """
        left, whole = self._left(past, turn)
        if (alone := self.alone) is None:
            return lambda chunks: math.sqrt(left(chunks) / whole)
        without, _ = self._left((), turn)

        def error(chunks: Collection[int]) -> float:
            # Memory is worth as much as the model says, and a round by itself is what it is.
            before = without(chunks)
            return alone(chunks) * (math.sqrt(left(chunks) / before) if before > 0 else 1.0)

        return error

    def _left(self, past: Sequence[tuple[int, int]], turn: int) -> tuple[Error, float]:
        """Variance of the sum that results leave, and that there is without any."""
        turns = sorted({when for _, when in past})
        at = np.array([*turns, turn], dtype=float)
        rounds = Rounds.of(
            self.code.generator,
            self.code.own_blocks,
            self.blocks_gram,
            np.array([chunk for chunk, _ in past], dtype=np.intp),
            np.array([turns.index(when) for _, when in past], dtype=np.intp),
            np.abs(np.subtract.outer(at, at)),
            np.zeros((len(past), len(past))),
            1,
        )
        outlook = RoundsOutlook(rounds, self.parameters)
        whole = float(rounds.covariance(self.parameters, rounds.blocks, rounds.blocks).sum())

        def left(chunks: Collection[int]) -> float:
            there = np.array(sorted(chunks), dtype=np.intp)
            return max(float(outlook.left_by(there).sum()), 0.0)

        return left, whole
