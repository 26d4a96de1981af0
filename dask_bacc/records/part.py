"""What became of the arrays that were encoded."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Part:
    """What became of one encoded array."""

    #: chunk ``i`` has the key ``(name, i)``
    name: str
    #: shape of every chunk
    shape: tuple[int, ...]
    #: dtype of the chunks that are combined from blocks, and of all once they are stacked
    dtype: np.dtype[np.generic]
    #: dtype of the chunks that are blocks as they stand; another one for half precision alone
    own_dtype: np.dtype[np.generic]
    #: axis along which the array was cut
    axis: int
    #: library of every chunk; see `dask_bacc.coding.arrays.library`
    library: str
    #: that axis's dimension, if the array was labelled
    dim: Hashable | None = None
    #: whether the array was of integers or booleans
    integers: bool = False
