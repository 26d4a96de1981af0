"""Results of a run: what is known of each, and those that are here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dask_bacc.coding._typing import AnyArray
from dask_bacc.results.result import FlatResult, ResultSpec
from dask_bacc.results.solutions import Returned
from dask_bacc.worker.brought import ChunkResult


class Store:
    """Results of a run, on the event loop.

    Parameters
    ----------
    sketches : dict
        Sketches of chunks that earlier runs over the same data brought, added to by this one.
    """

    def __init__(self, sketches: dict[int, list[AnyArray]]) -> None:
        self._sketches = sketches
        #: of every chunk that returned, in order of arrival
        self._specs: dict[int, ResultSpec] = {}
        #: those that are here
        self._results: dict[int, FlatResult] = {}
        #: of those that had returned and are to be fetched
        self._refetched: dict[int, ResultSpec] = {}

    @property
    def specs(self) -> Mapping[int, ResultSpec]:
        """What is known of the results, in order of arrival."""
        return self._specs

    def values(self) -> dict[int, Any]:
        """What chunks returned, of those whose results are here."""
        return {chunk: result.value() for chunk, result in self._results.items()}

    @property
    def count(self) -> int:
        """Number of results."""
        return len(self._specs)

    def add(self, chunk: int, brought: ChunkResult) -> None:
        """Take a result in."""
        if brought.result is not None:
            self._results[chunk] = brought.result
        self._specs[chunk] = brought.spec
        if brought.sketches is not None:
            self._sketches[chunk] = brought.sketches

    def add_sketches(self, chunk: int, sketches: list[AnyArray]) -> None:
        """Take in what a slow chunk's blocks are like."""
        self._sketches[chunk] = sketches

    def snapshot(self, elapsed: float) -> Returned:
        """What has come by now, so many seconds after the run was submitted."""
        return Returned(dict(self._specs), dict(self._results), dict(self._sketches), elapsed)

    @property
    def on_workers(self) -> list[int]:
        """Chunks that returned and whose results are still on the workers."""
        if len(self._specs) == len(self._results):
            return []
        return [chunk for chunk in self._specs if chunk not in self._results]

    def is_refetched(self, chunk: int) -> bool:
        """Whether the chunk's result is to come as it is, whatever is known of it."""
        return chunk in self._refetched

    def refetch(self) -> list[int]:
        """Count only what is here; the chunks whose results are to be fetched."""
        chunks = self.on_workers
        for chunk in chunks:
            self._refetched[chunk] = self._specs.pop(chunk)
        return chunks

    def refetched(self) -> list[int]:
        """Chunks whose results were to be fetched."""
        return list(self._refetched)

    def restore(self, chunk: int) -> None:
        """Count a result once more that was to be fetched and has not come."""
        self._specs[chunk] = self._refetched[chunk]

    def clear(self) -> None:
        """Let go of the results, of which the answer is made."""
        self._results = {}
