"""How long estimates may take: searches end in time, with the best that they have found."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar

_until: ContextVar[float] = ContextVar("until", default=math.inf)
_needless: ContextVar[Callable[[], bool] | None] = ContextVar("needless", default=None)


@contextlib.contextmanager
def search_until(moment: float) -> Iterator[None]:
    """Let searches for hyper-parameters in the body go on until a moment of the monotonic clock.

    What they have found by then is used: fits are less likely than they might be, and as honest.

    Examples
    --------
    >>> with search_until(time.monotonic() - 1):
    ...     out_of_time()
    True
    """
    token = _until.set(moment)
    try:
        yield
    finally:
        _until.reset(token)


@contextlib.contextmanager
def search_unless(needless: Callable[[], bool]) -> Iterator[None]:
    """Let searches in the body end once nobody needs what they find.

    Examples
    --------
    >>> with search_unless(lambda: True):
    ...     out_of_time()
    True
    """
    token = _needless.set(needless)
    try:
        yield
    finally:
        _needless.reset(token)


def out_of_time() -> bool:
    """Whether searches of the calling context have to end.

    Examples
    --------
    >>> out_of_time()
    False
    """
    needless = _needless.get()
    return time.monotonic() > _until.get() or (needless is not None and needless())
