"""Coded chunks as a dask collection."""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import dask.array as da
import dask.threaded
import numpy as np
from dask.base import DaskMethodsMixin
from dask.typing import Key

from dask_bacc.coding import Code
from dask_bacc.coding._typing import AnyArray
from dask_bacc.display.html import coded_array_html
from dask_bacc.engine.scheduler import large_graphs
from dask_bacc.graphs.anew import can_be_made, under_new_keys, with_suffix
from dask_bacc.graphs.pinned import is_pinned
from dask_bacc.graphs.shuffles import shuffle_keys
from dask_bacc.records.part import Part
from dask_bacc.results.gaps import BlockGaps
from dask_bacc.results.labels import Label
from dask_bacc.stacked import stacked, stacked_array


@dataclass(eq=False)
class Gaps:
    """Where blocks had NaN before they were filled."""

    #: for every block, an array of booleans for each encoded array; None if nobody has looked
    known: BlockGaps | None = None
    #: the blocks as they were, if only workers have them
    blocks: CodedChunks | None = None


class CodedChunks(DaskMethodsMixin):
    """What coded chunks are, and what dask does with them: persist, compute, stack, show.

    Parameters
    ----------
    graph : mapping
        Makes the chunks.
    parts : tuple of Part
        One for every encoded array.
    code : Code
        The code that makes the chunks.
    label : callable, optional
        Gives the answers of runs their labels.
    sketches : dict, optional
        Of chunks, by index, as far as they are known.
    gaps : Gaps, optional
        Where blocks had NaN, if they are filled.
    """

    def __init__(
        self,
        graph: Mapping[Key, Any],
        parts: tuple[Part, ...],
        code: Code,
        label: Label | None = None,
        sketches: dict[int, list[AnyArray]] | None = None,
        gaps: Gaps | None = None,
    ) -> None:
        self._graph = graph
        self._gaps = gaps
        # They tell what blocks are like, and later runs need not make them once more.
        self._known_sketches = {} if sketches is None else sketches
        self._label = label
        self.parts = parts
        self.code = code

    @property
    def k(self) -> int:
        """Number of blocks."""
        return self.code.k

    @property
    def n(self) -> int:
        """Number of coded chunks."""
        return self.code.n

    @property
    def nbytes(self) -> int:
        """Bytes of all chunks of all arrays."""
        own = int(np.count_nonzero(self.code.own_blocks >= 0))
        return sum(
            math.prod(p.shape) * (own * p.own_dtype.itemsize + (self.n - own) * p.dtype.itemsize)
            for p in self.parts
        )

    def __repr__(self) -> str:
        arrays = ", ".join(f"{part.shape} {part.dtype}" for part in self.parts)
        return f"{type(self).__name__}<{self.code}, chunks {arrays}>"

    def _repr_html_(self) -> str:
        return coded_array_html(self.code, self.parts, self.nbytes)

    def __dask_graph__(self) -> Mapping[Key, Any]:
        return self._graph

    def __dask_keys__(self) -> list[list[tuple[str, int]]]:
        return [[(part.name, i) for i in range(self.n)] for part in self.parts]

    def __dask_tokenize__(self) -> tuple[str, ...]:
        return (type(self).__name__, *(part.name for part in self.parts))

    __dask_optimize__ = None
    __dask_scheduler__ = staticmethod(dask.threaded.get)

    def __dask_postcompute__(self) -> tuple[Callable[..., Any], tuple[()]]:
        return stacked, ()

    def __dask_postpersist__(self) -> tuple[Callable[..., Self], tuple[()]]:
        return self._rebuild, ()

    def persist(self, **kwargs: Any) -> Self:
        """The chunks on the cluster; as `dask.persist`.

        Parameters
        ----------
        **kwargs
            Passed on to it.
        """
        with large_graphs():
            # Of dask's, without types.
            mixin: Any = super()
            persisted: Self = mixin.persist(**kwargs)
        return persisted

    def _rebuild(
        self, graph: Mapping[Key, Any], *, rename: Mapping[str, str] | None = None
    ) -> Self:
        names = rename or {}
        parts = tuple(replace(p, name=names.get(p.name, p.name)) for p in self.parts)
        return type(self)(graph, parts, self.code, self._label, self._sketches(), self._gaps)

    def anew(self) -> Self:
        """The same chunks under keys of their own, to be persisted apart from those of before.

        Under the same keys the scheduler takes what it has, and a worker that still fetches one
        from a worker that hangs does not make it.

        Raises
        ------
        ValueError
            If the chunks are persisted: nothing tells how to make them.

        Examples
        --------
        >>> import dask_bacc
        >>> coded = dask_bacc.encode(np.arange(8.0), k=4, n=6)
        >>> bool((coded.anew().compute() == coded.compute()).all())
        True
        """
        suffix, shuffled = f"-{uuid.uuid4().hex}", shuffle_keys(self._graph)
        renamed = {
            key: with_suffix(key, suffix)
            for key in self._graph
            if can_be_made(self._graph, key, shuffled)
        }
        if any((part.name, i) not in renamed for part in self.parts for i in range(self.n)):
            raise ValueError(
                "chunks that are on the cluster cannot be made anew; call anew() of what "
                "dask_bacc.encode gave, before persist()"
            )
        graph = under_new_keys(self._graph, self._graph, renamed)
        return self._rebuild(graph, rename={p.name: f"{p.name}{suffix}" for p in self.parts})

    @cached_property
    def _is_pinned(self) -> bool:
        return is_pinned(self._graph)

    def _sketches(self) -> dict[int, list[AnyArray]]:
        """Those of earlier runs, to which a run adds; none if the data may have changed since."""
        return self._known_sketches if self._is_pinned else {}

    @property
    def shape(self) -> Any:
        """Of the chunks, stacked on a new first axis; a tuple of shapes for several arrays."""
        return self._of_parts(lambda part: (self.n, *part.shape))

    @property
    def chunks(self) -> Any:
        """Sizes along each axis, as dask arrays have them; a tuple of them for several arrays."""
        return self._of_parts(lambda part: ((1,) * self.n, *((size,) for size in part.shape)))

    @property
    def dtype(self) -> Any:
        """Of the chunks; a tuple for several arrays."""
        return self._of_parts(lambda part: part.dtype)

    def _of_parts(self, what: Callable[[Part], Any]) -> Any:
        found = tuple(what(part) for part in self.parts)
        return found if len(found) > 1 else found[0]

    def to_dask_array(self) -> da.Array | tuple[da.Array, ...]:
        """The chunks as a dask array, stacked on a new first axis.

        Returns
        -------
        dask.array.Array, or a tuple of them if several arrays were encoded

        Raises
        ------
        NotImplementedError
            With ``array.query-planning``, whose arrays cannot be made from a graph.
        """
        if da.array_expr_enabled():
            raise NotImplementedError(
                "with array.query-planning a dask array cannot be made from coded chunks; use "
                "compute() or map(), or turn query-planning off"
            )
        arrays = tuple(stacked_array(self._graph, part, self.n) for part in self.parts)
        return arrays if len(arrays) > 1 else arrays[0]
