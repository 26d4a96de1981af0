"""Any code with the blocks in another order, so that neighbours are alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from dask_bacc.coding._typing import FloatArray, IndexArray
from dask_bacc.coding.codes.base import Code, Group


@dataclass(frozen=True)
class Reordered(Code):
    """A code that takes the blocks in another order; answers come in the blocks' own order.

    Choose it with `similarity_order` for blocks that are alike but lie far apart. Decoders that
    work on nodes, Berrut's for one, gain most. Kriging goes by the distances of blocks and not by
    their order, but gains too: parity then mixes blocks that are alike, and so do groups.

    Parameters
    ----------
    code : Code
        The code for the blocks in the new order.
    order : sequence of int
        A permutation of ``range(code.k)``: the block that comes first, second, and so on.

    Raises
    ------
    ValueError
        If `order` is no permutation of the blocks.

    Examples
    --------
    >>> from dask_bacc.coding import Local
    >>> code = Reordered(Local(4, 6), order=(0, 3, 1, 2))
    >>> code.generator[4:]
    array([[0.5, 0.5, 0. , 0. ],
           [0. , 0. , 0.5, 0.5]])
    """

    k: int = field(init=False)
    n: int = field(init=False)
    code: Code
    order: Sequence[int]

    def __post_init__(self) -> None:
        order = tuple(int(block) for block in self.order)
        if sorted(order) != list(range(self.code.k)):
            raise ValueError(
                f"order must have each of the blocks 0 to {self.code.k - 1} once, got {order}"
            )
        for name, value in (("k", self.code.k), ("n", self.code.n), ("order", order)):
            object.__setattr__(self, name, value)
        super().__post_init__()

    @property
    def default_decoder(self) -> str:
        """The decoder that suits the code."""
        return self.code.default_decoder

    @cached_property
    def data_nodes(self) -> FloatArray | None:
        """The ``(k,)`` nodes of the blocks, in the blocks' own order."""
        nodes = self.code.data_nodes
        return None if nodes is None else nodes[np.argsort(self.order)]

    @property
    def chunk_nodes(self) -> FloatArray | None:
        """The ``(n,)`` nodes of the chunks."""
        return self.code.chunk_nodes

    @cached_property
    def groups(self) -> Sequence[Group]:
        """The groups of the code, of other blocks."""
        order = np.array(self.order)
        return tuple(
            Group(part.code, order[part.blocks], part.chunks) for part in self.code.groups
        )

    def _build_generator(self) -> FloatArray:
        return self.code.generator[:, np.argsort(self.order)]

    def row(self, chunk: int) -> tuple[IndexArray, FloatArray]:
        """The blocks that a chunk is made of and their coefficients."""
        blocks, coefficients = self.code.row(chunk)
        blocks = np.array(self.order)[blocks]
        ascending = np.argsort(blocks)
        return blocks[ascending], coefficients[ascending]


def similarity_order(gram: ArrayLike) -> tuple[int, ...]:
    """An order in which each block is followed by the one that is most like it.

    From one of the two blocks that are farthest apart, always to the nearest that is left.

    Parameters
    ----------
    gram : (k, k) array_like
        Inner products of the blocks, real parts.

    Returns
    -------
    tuple of int
        The order that `Reordered` takes.

    Raises
    ------
    ValueError
        If `gram` is not square or has a NaN or an infinity.

    Examples
    --------
    >>> blocks = np.array([[0.0], [5.0], [1.0], [4.0]])
    >>> similarity_order(blocks @ blocks.T)
    (0, 2, 3, 1)
    """
    products = np.asarray(gram, dtype=np.float64)
    if products.ndim != 2 or products.shape[0] != products.shape[1] or not len(products):
        raise ValueError(f"gram must be a square matrix, got shape {products.shape}")
    if not np.isfinite(products).all():
        raise ValueError("gram has NaN or infinity")
    norms = np.diag(products)
    distances = norms[:, None] + norms - 2 * products
    order = [int(np.unravel_index(np.argmax(distances), distances.shape)[0])]
    left = np.ones(len(products), dtype=bool)
    while len(order) < len(products):
        left[order[-1]] = False
        order.append(int(np.argmin(np.where(left, distances[order[-1]], np.inf))))
    return tuple(order)
