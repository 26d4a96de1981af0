"""The demos' workers: real processes, which can be stopped."""

from __future__ import annotations

import contextlib
import logging
import signal
from collections.abc import Iterator

from distributed import Client, LocalCluster

WORKERS = 8


def check_signals() -> None:
    """Refuse systems where processes cannot be stopped.

    Raises
    ------
    RuntimeError
    """
    if not hasattr(signal, "SIGSTOP"):
        raise RuntimeError("the demo stops processes with SIGSTOP, which this system has not")


@contextlib.contextmanager
def demo_client() -> Iterator[Client]:
    """A client of worker processes of one thread each."""
    with (
        LocalCluster(
            n_workers=WORKERS,
            threads_per_worker=1,
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client
