"""Any code within groups of blocks, so that cost per chunk does not grow with their number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from scipy.linalg import block_diag

from dask_bacc.coding._typing import FloatArray, IndexArray
from dask_bacc.coding.codes.base import Code, Group


@dataclass(frozen=True, repr=False)
class Grouped(Code):
    """Consecutive blocks in groups, each with a code of its own.

    Choose it when `k` is large: a chunk is made of the blocks of its group only, and decoding
    solves many small systems instead of a large one. Redundancy of one group cannot help another.

    Parameters
    ----------
    k, n : int
        Number of blocks and of coded chunks, all groups together.
    size : int
        Blocks in a group, at most. There are ``ceil(k / size)`` groups, equal in blocks and in
        chunks to within one.
    code : callable
        ``code(k, n)`` makes the code of one group; a code class, say.

    Raises
    ------
    ValueError
        If `size` is below 1, or `code` refuses a group.

    Examples
    --------
    >>> from dask_bacc.coding import Local
    >>> code = Grouped(5, 8, size=3, code=Local)
    >>> code
    Grouped(k=5, n=8, groups=[Local(k=3, n=5), Local(k=2, n=3)])
    >>> code.generator[3]
    array([0.5, 0. , 0.5, 0. , 0. ])
    """

    size: int = field(kw_only=True)
    code: Callable[[int, int], Code] = field(kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.size < 1:
            raise ValueError(f"size, the blocks in a group, must be at least 1, got {self.size}")
        # Making the groups now lets the inner code refuse before anything is encoded.
        self.groups  # noqa: B018

    def __repr__(self) -> str:
        kinds: dict[str, int] = {}
        for part in self.groups:
            kinds[repr(part.code)] = kinds.get(repr(part.code), 0) + 1
        shown = [kind if count == 1 else f"{count} x {kind}" for kind, count in kinds.items()]
        return f"Grouped(k={self.k}, n={self.n}, groups=[{', '.join(shown)}])"

    @cached_property
    def groups(self) -> Sequence[Group]:
        """The groups, in order of their blocks."""
        count = -(-self.k // self.size)
        blocks = np.array_split(np.arange(self.k), count)
        # What is over goes to the larger groups first.
        parities = [len(part) for part in np.array_split(np.arange(self.n - self.k), count)]
        groups: list[Group] = []
        start = 0
        for members, parity in zip(blocks, parities, strict=True):
            stop = start + len(members) + parity
            code = self.code(len(members), stop - start)
            groups.append(Group(code, members, slice(start, stop)))
            start = stop
        return tuple(groups)

    @property
    def default_decoder(self) -> str:
        """The decoder that suits the code of the groups."""
        return self.groups[0].code.default_decoder

    def _build_generator(self) -> FloatArray:
        matrix: FloatArray = block_diag(*(part.code.generator for part in self.groups))
        return matrix

    @cached_property
    def _starts(self) -> list[int]:
        return [part.chunks.start for part in self.groups]

    def row(self, chunk: int) -> tuple[IndexArray, FloatArray]:
        """The blocks that a chunk is made of and their coefficients."""
        part = self.groups[int(np.searchsorted(self._starts, chunk, side="right")) - 1]
        blocks, coefficients = part.code.row(chunk - part.chunks.start)
        return part.blocks[blocks], coefficients
