"""One BLAS thread for what is made of small matrices."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import scipy.linalg  # noqa: F401  # its BLAS is one of those that are limited
from threadpoolctl import OpenBLASController, ThreadpoolController


class _Limit:
    """One thread for as long as anybody is inside."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._controller: ThreadpoolController | None = None
        self._inside = 0
        self._limits = contextlib.ExitStack()

    def enter(self) -> None:
        with self._lock:
            if self._inside == 0:
                # Looking for the libraries takes milliseconds.
                self._controller = self._controller or ThreadpoolController()
                self._limits.enter_context(self._controller.limit(limits=1, user_api="blas"))
            self._inside += 1

    def leave(self) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                # It may be another thread that came first, which the limits belong to.
                OpenBLASController.clear_controlling_thread(force=True)
                self._limits.close()


_limit = _Limit()


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Run the body with one BLAS thread.

    OpenBLAS has one setting for the whole process. Where cores are busy, its threads wait for each
    other at every small product, and a fit takes many times as long. Bodies in several threads may
    overlap: the setting of before comes back when the last of them ends.

    Examples
    --------
    >>> from threadpoolctl import threadpool_info
    >>> with one_thread():
    ...     {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}
    {1}
    """
    _limit.enter()
    try:
        yield
    finally:
        _limit.leave()
