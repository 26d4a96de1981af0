"""The client of a run: the given one, the current one, or an in-process one of our own."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

import dask
import distributed
from distributed import Client, LocalCluster

logger = logging.getLogger("dask_bacc")

T = TypeVar("T")

_lock = threading.Lock()
_local: Client | None = None
#: whether a run has gone to a client of the user's
_had = False


def resolve_client(client: Client | None) -> Client:
    """The given client, the current one, or a local one, which is started when there is none.

    Raises
    ------
    TypeError
        If `client` is no client.
    ValueError
        If `client` is closed, or there is none any more.
    """
    global _had
    if client is None:
        try:
            client = distributed.get_client()
        except ValueError:
            if _had:
                # Whoever had a cluster does not mean this process.
                raise ValueError(
                    "there is no client any more: the one that runs went to is closed; make "
                    "another, or Client(processes=False) for threads of this process"
                ) from None
            return _local_client()
    if not isinstance(client, Client):
        raise TypeError(f"client must be a distributed.Client, got {type(client).__name__}")
    if client.status not in ("running", "connecting", "newly-created"):
        raise ValueError(f"client is {client.status}; pass a connected one")
    _had = _had or client is not _local
    return client


def on_loop(client: Client, coroutine: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
    """Run a coroutine on the client's event loop, whatever thread this is."""
    loop: Any = client.loop
    return asyncio.run_coroutine_threadsafe(coroutine, loop.asyncio_loop)


def _local_client() -> Client:
    global _local
    with _lock:
        if _local is None or _local.status != "running":
            if _local is not None and _local.cluster is not None:
                _local.cluster.close()
            cluster = LocalCluster(
                processes=False,
                n_workers=1,
                threads_per_worker=dask.config.get("bacc.local-cluster.threads"),
                dashboard_address="127.0.0.1:0",
                scheduler_kwargs={"dashboard": False},
                silence_logs=logging.ERROR,
            )
            # Not the default client: dask's own arrays keep the scheduler the user has.
            _local = Client(cluster, set_as_default=False)
            logger.info(
                "no Dask client: started an in-process cluster with %d threads",
                sum(_local.nthreads().values()),
            )
        return _local
