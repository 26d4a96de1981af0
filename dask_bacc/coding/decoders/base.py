"""What a decoder is asked and what it answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Protocol

import numpy as np

from dask_bacc.coding._typing import BoolArray, FloatArray, IndexArray
from dask_bacc.coding.codes import Code
from dask_bacc.coding.codes.base import Group
from dask_bacc.coding.located import Located
from dask_bacc.coding.rows import Rows, RowWeights


@dataclass(frozen=True)
class Evidence:
    """Everything a decoder may look at: small matrices, never the results themselves."""

    #: code of the run, or of one group of it
    code: Code
    #: ascending indices of the returned set, at least one
    chunks: IndexArray
    #: ``(m, m)`` inner products of the results, real part; None unless the decoder asks for it
    results_gram: FloatArray | None = None
    #: numbers in a result, a complex one counting twice
    outputs: int = 1
    #: where the blocks lie to each other, or None if that is not known
    located: Located | None = None
    #: rows of blocks and results, or None if they are not known or have none
    rows: Rows | None = None
    #: ``(m, s)`` some numbers of every result, in the unit of `results_gram`
    values: FloatArray | None = None
    #: mean square of all numbers of all results of the run
    square: float = 0.0
    #: share of their size to which results are rounded
    rounding: float = 0.0
    #: whether results that look corrupted are to be replaced
    replace: bool = False
    #: what a decoder left at its last call, with fewer results of the same function
    memory: dict[str, Any] = field(default_factory=dict)

    def among(self, group: Group, positions: IndexArray, memory: dict[str, Any]) -> Evidence:
        """What there is of a group of the code, whose chunks are at these positions."""
        gram, values = self.results_gram, self.values
        return replace(
            self,
            code=group.code,
            chunks=self.chunks[positions] - group.chunks.start,
            results_gram=None if gram is None else gram[np.ix_(positions, positions)],
            located=None if self.located is None else self.located.among(group.blocks),
            rows=None if self.rows is None else self.rows.among(group.blocks, positions),
            values=None if values is None else values[positions],
            memory=memory,
        )


class Outlook(Protocol):
    """What further results would leave unknown."""

    def variance(self, chunks: IndexArray) -> FloatArray:
        """``(k,)`` variances, given results of these chunks, up to a factor of each block."""

    def of(self, generator: FloatArray) -> Outlook:
        """The same for the chunks of another code over the same blocks."""


@dataclass(frozen=True)
class Solution:
    """What a decoder made of the evidence."""

    #: ``(k, m)`` matrix from the results to the blocks' answers
    weights: FloatArray
    #: ``(k,)`` estimated RMS error of every block, or None if the decoder estimates none
    error: FloatArray | None = None
    #: name of the covariance that explains the results best, if the decoder has any
    kernel: str | None = None
    #: RMS of what differs between results at the same point
    noise: float = 0.0
    #: positions of results that look corrupted; if they are to be replaced, their weights are zero
    suspects: IndexArray = field(default_factory=lambda: np.zeros(0, dtype=np.intp))
    #: ``(m,)`` RMS by which each result itself may be off, or None if none is in doubt
    doubt: FloatArray | None = None
    #: RMS error of blocks that have no more behind it than that results are alike; 0 for none
    alike: float = 0.0
    #: answers to blocks, row by row, in place of those of `weights`; None for no block
    rows: RowWeights | None = None
    #: what further results would leave unknown; None if the decoder cannot foresee it
    outlook: Outlook | None = None


class Decoder(ABC):
    """Turns the results of a returned set into an answer for every block.

    A new decoder is a frozen dataclass that derives from this one and is named once in
    ``dask_bacc.coding.decoders.DECODERS``. Blocks whose own result returned are not its concern:
    they are copied.
    """

    #: whether `solve` needs the inner products of the results
    uses_results: ClassVar[bool] = False
    #: whether `solve` says how large the error is
    estimates_error: ClassVar[bool] = False
    #: whether `solve` is better for the inner products of the blocks
    uses_gram: ClassVar[bool] = False

    @property
    @abstractmethod
    def name(self) -> str:
        """The name by which users ask for it."""

    def check(self, code: Code) -> None:
        """Refuse a code that this decoder cannot decode.

        Raises
        ------
        ValueError
            With what the decoder needs.
        """
        return

    def at_precision(self, precision: float) -> Decoder:
        """The same decoder for results that are rounded to this share of their size."""
        return self

    def recovered(self, code: Code, chunks: IndexArray) -> BoolArray:
        """Which of the `k` blocks this returned set gives an answer for."""
        return np.full(code.k, len(chunks) > 0)

    def checks(self, code: Code, count: int) -> bool:
        """Whether that many results are enough to find corrupted ones among them."""
        return False

    @abstractmethod
    def solve(self, evidence: Evidence) -> Solution:
        """Weights for the returned set; rows of blocks that are not recovered have no meaning."""


class NodeDecoder(Decoder):
    """A decoder that works on nodes and refuses codes without them."""

    def check(self, code: Code) -> None:
        """Refuse a code without nodes."""
        if code.chunk_nodes is None or code.data_nodes is None:
            raise ValueError(
                f"decoder {self.name!r} works on nodes, and {code} has none; use "
                f"decoder={code.default_decoder!r}, or a code with nodes such as 'systematic'"
            )


class Interpolant(NodeDecoder):
    """A decoder that is a curve through or near the results over their nodes."""

    def solve(self, evidence: Evidence) -> Solution:
        """Interpolate over the distinct returned nodes, sharing a node's weight among repeats."""
        code = evidence.code
        assert code.chunk_nodes is not None
        assert code.data_nodes is not None
        nodes, inverse, count = np.unique(
            code.chunk_nodes[evidence.chunks], return_inverse=True, return_counts=True
        )
        gram = evidence.results_gram
        if gram is not None and len(nodes) < len(inverse):
            mean = np.zeros((len(nodes), len(inverse)))
            mean[inverse, np.arange(len(inverse))] = 1.0 / count[inverse]
            gram = mean @ gram @ mean.T
        matrix = self.matrix(nodes, code.data_nodes, gram)
        return Solution(matrix[:, inverse] / count[inverse])

    @abstractmethod
    def matrix(self, nodes: FloatArray, at: FloatArray, gram: FloatArray | None) -> FloatArray:
        """Matrix from values at distinct ascending `nodes` to values at `at`."""
