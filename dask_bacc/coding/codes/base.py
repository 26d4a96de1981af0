"""What every code offers: a generator, nodes where it has any, and encoding."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import index
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from dask_bacc.coding._typing import AnyArray, FloatArray, IndexArray
from dask_bacc.coding.arrays import as_array, is_foreign, namespace, numpy_dtype
from dask_bacc.coding.linear import combine_rows, combined_rows, mixed_dtype, too_large


@dataclass(frozen=True, eq=False)
class Group:
    """A part of a code that is encoded and decoded on its own."""

    #: code of the blocks of this group
    code: Code
    #: positions of its blocks among all blocks, in the order in which `code` has them
    blocks: IndexArray
    #: positions of its chunks among all chunks
    chunks: slice


@dataclass(frozen=True)
class Code(ABC):
    """A linear code over the reals from `k` blocks to `n` coded chunks.

    A new code is a frozen dataclass that derives from this one, defines ``_build_generator`` and
    ``default_decoder``, overrides the nodes if it has any, and is named once in
    ``dask_bacc.coding.codes.CODES``.

    Parameters
    ----------
    k : int
        Number of blocks, at least 1.
    n : int
        Number of coded chunks, at least `k`.

    Raises
    ------
    ValueError
        If `k` or `n` is out of its range.
    """

    k: int
    n: int

    def __post_init__(self) -> None:
        for name in ("k", "n"):
            value = getattr(self, name)
            try:
                index(value)
            except TypeError:
                raise TypeError(f"{name} must be an integer, got {type(value).__name__}") from None
            object.__setattr__(self, name, index(value))
        if self.k < 1:
            raise ValueError(f"k, the number of blocks, must be at least 1, got {self.k}")
        if self.n < self.k:
            raise ValueError(
                f"n={self.n} chunks cannot hold k={self.k} blocks; n must be at least {self.k}"
            )

    @property
    @abstractmethod
    def default_decoder(self) -> str:
        """Name of the decoder that suits the code when the user names none."""

    @abstractmethod
    def _build_generator(self) -> FloatArray: ...

    @cached_property
    def generator(self) -> FloatArray:
        """The ``(n, k)`` generator matrix, read-only."""
        matrix = self._build_generator()
        matrix.setflags(write=False)
        return matrix

    @property
    def data_nodes(self) -> FloatArray | None:
        """The ``(k,)`` nodes of the blocks, or None where the code has none."""
        return None

    @property
    def chunk_nodes(self) -> FloatArray | None:
        """The ``(n,)`` nodes of the chunks, or None where the code has none."""
        return None

    @property
    def groups(self) -> Sequence[Group]:
        """The parts that are encoded and decoded on their own; most codes are one."""
        return (Group(self, np.arange(self.k), slice(0, self.n)),)

    def row(self, chunk: int) -> tuple[IndexArray, FloatArray]:
        """The blocks that a chunk is made of and their coefficients."""
        coefficients = self.generator[chunk]
        blocks = np.flatnonzero(coefficients)
        return blocks, coefficients[blocks]

    @cached_property
    def own_blocks(self) -> IndexArray:
        """For each of the `n` chunks the block that it is as it stands, or -1 for a parity chunk.

        A row counts only if it is a unit row: rational rows overshoot, so an entry of 1 or more
        says nothing by itself.
        """
        own = np.full(self.n, -1, dtype=np.intp)
        for chunk in range(self.n):
            blocks, coefficients = self.row(chunk)
            if len(blocks) == 1 and coefficients[0] == 1:
                own[chunk] = blocks[0]
        own.setflags(write=False)
        return own

    @cached_property
    def block_of(self) -> tuple[int, ...]:
        """`own_blocks` as what is quick to look up one by one."""
        return tuple(self.own_blocks.tolist())

    @cached_property
    def first_copies(self) -> tuple[int, ...]:
        """The first chunk that is each block as it stands, for blocks that have one."""
        blocks, chunks = np.unique(self.own_blocks, return_index=True)
        return tuple(chunks[blocks >= 0].tolist())

    def encode(self, blocks: ArrayLike) -> AnyArray:
        """Encode stacked blocks.

        Parameters
        ----------
        blocks : (k, ...) array_like
            Real or complex; integers and booleans are encoded as float64, half precision as
            float32. Arrays of other libraries that follow the array API standard give chunks of
            their own kind.

        Returns
        -------
        chunks : (n, ...) ndarray
            A chunk that is a block as it stands has the same numbers, bit for bit.

        Raises
        ------
        ValueError
            If the first axis does not have length `k`, or integers are beyond 2**53.
        TypeError
            If `blocks` are not numbers.
        """
        if isinstance(blocks, np.ma.MaskedArray):
            raise TypeError("blocks must not be masked; fill them first")
        values = as_array(blocks)
        if values.ndim == 0 or values.shape[0] != self.k:
            raise ValueError(
                f"blocks must be stacked on a first axis of length k={self.k}, "
                f"got shape {values.shape}"
            )
        if (problem := too_large(values)) is not None:
            raise ValueError(f"the array {problem}")
        if is_foreign(values):
            return self._encode_foreign(values)
        dtype = mixed_dtype(values.dtype)
        chunks = np.empty((self.n, *values.shape[1:]), dtype=dtype)
        for part in self.groups:
            rows = range(part.chunks.start, part.chunks.stop)
            combine_rows(
                part.code.generator, list(values[part.blocks]), [chunks[i, ...] for i in rows]
            )
        return chunks

    def _encode_foreign(self, values: AnyArray) -> AnyArray:
        chunks: list[Any] = []
        dtype = mixed_dtype(numpy_dtype(values))
        for part in self.groups:
            blocks = [values[j, ...] for j in part.blocks.tolist()]
            chunks += combined_rows(part.code.generator, blocks, dtype)
        stacked: AnyArray = namespace(values).stack(chunks)
        return stacked
