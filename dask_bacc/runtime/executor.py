"""Threads in which results are decoded.

The event loop's own pool sends graphs to the scheduler, which must not wait behind a fit.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


@cache
def _executor() -> ThreadPoolExecutor:
    # Runs wait for their own fits alone, and a fit has one BLAS thread.
    return ThreadPoolExecutor((os.cpu_count() or 1) + 4, thread_name_prefix="bacc-decode")


async def in_decoding_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What the function returns, called in a thread for decoding."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_executor(), lambda: function(*args, **kwargs))
