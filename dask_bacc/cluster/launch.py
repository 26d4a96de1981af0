"""Bringing the chunks of a run to the cluster, all at once or some of them later."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from dask.typing import Key
from distributed import Client, Future

from dask_bacc.cluster.submit import RunGraph, submit


class Launcher:
    """Submits chunks of a run and holds their futures.

    Parameters
    ----------
    client : Client
    run : RunGraph
        With all chunks.
    parity : collection of keys
        Tasks that give way to all others.
    retries : int
    """

    def __init__(
        self, client: Client, run: RunGraph, parity: Collection[Key], retries: int
    ) -> None:
        self._client = client
        self._run = run
        self._parity = parity
        self._retries = retries
        #: future of every chunk that was submitted
        self.futures: dict[int, Future[Any]] = {}
        self._sources: Mapping[Key, Future[Any]] = {}

    @property
    def name(self) -> str:
        """Name of the run."""
        return self._run.name

    def launch(
        self, chunks: Collection[int], workers: Sequence[str], *, sources: Collection[Key] = ()
    ) -> dict[int, Future[Any]]:
        """Submit some chunks.

        Parameters
        ----------
        chunks : collection of int
        workers : sequence of str
            Addresses of the only workers that may run them; none for any.
        sources : collection of keys
            What chunks that may follow are made of; kept on the cluster until `release`.

        Returns
        -------
        dict of int to Future
            Those of `chunks`.
        """
        part = self._run.part(chunks, sources)
        futures = submit(self._client, part, self._parity, self._retries, workers)
        if sources:
            self._sources = {key: futures[key] for key in sources}
        launched = {chunk: futures[self.name, chunk] for chunk in chunks}
        self.futures |= launched
        return launched

    def release(self) -> None:
        """Let go of all futures."""
        self.futures.clear()
        self._sources = {}
