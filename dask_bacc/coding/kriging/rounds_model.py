"""How far off rounds would be, before there are any: what memory is worth, for simulations."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np

from dask_bacc.coding._typing import FloatArray
from dask_bacc.coding.codes import Code
from dask_bacc.coding.kriging.rounds import Rounds, RoundsOutlook
from dask_bacc.coding.kriging.rounds_likelihood import FAMILY, USUAL_MEMORY


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

    @classmethod
    def usual(
        cls, code: Code, blocks_gram: FloatArray, memory: float = USUAL_MEMORY
    ) -> RoundsModel:
        """With hyper-parameters as they usually are, and results that stay alike for so long.

        Parameters
        ----------
        memory : float
            Logarithm of the rounds over which results stay alike.
        """
        parameters = np.array([0.0, 0.0, 0.0, FAMILY.log_length, -25.0, memory, memory])
        return cls(code, blocks_gram, parameters)

    def error(
        self, past: Sequence[tuple[int, int]], turn: int
    ) -> Callable[[Collection[int]], float]:
        """Error of the sum over blocks once some chunks of a round are in, over its usual size.

        Parameters
        ----------
        past : sequence of pairs of int
            Chunks that returned before, with their rounds.
        turn : int
            Number of the round; arguments move by one step in each.
        """
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

        def error(chunks: Collection[int]) -> float:
            left = float(outlook.left_by(np.array(sorted(chunks), dtype=np.intp)).sum())
            return float(np.sqrt(max(left, 0.0) / whole))

        return error
