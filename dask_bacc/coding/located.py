"""Where the blocks of a code lie to each other, and how well that is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dask_bacc.coding._typing import FloatArray, IndexArray


@dataclass(frozen=True, eq=False)
class Located:
    """Where the blocks of a code lie to each other.

    Examples
    --------
    >>> Located.at(np.eye(3)).among(np.array([0, 2])).gram
    array([[1., 0.],
           [0., 1.]])
    """

    #: ``(k, k)`` inner products
    gram: FloatArray
    #: ``(k,)`` share of every block of which `gram` says what is likely and not what is known
    unknown: FloatArray
    #: ``(k,)`` squared distances by which blocks may be elsewhere, in the unit of `gram`
    blur: FloatArray

    @classmethod
    def at(cls, gram: FloatArray) -> Located:
        """Blocks of which all is known."""
        return cls(gram, np.zeros(len(gram)), np.zeros(len(gram)))

    def among(self, blocks: IndexArray) -> Located:
        """Some of the blocks."""
        return Located(self.gram[np.ix_(blocks, blocks)], self.unknown[blocks], self.blur[blocks])
