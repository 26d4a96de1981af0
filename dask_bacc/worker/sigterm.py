"""A preload with which workers that are sent SIGTERM hand on their data before they leave.

Kubernetes, batch systems and spot machines send it some seconds before they kill. A worker of
dask's closes at once then, and what only it has is computed anew:

    dask worker --no-nanny --preload dask_bacc.worker.sigterm ...
    dask worker --preload-nanny dask_bacc.worker.sigterm ...

Coded runs of which the worker has chunks hear of it at once. A second SIGTERM ends the process.
"""

from __future__ import annotations

import asyncio
import signal
from weakref import WeakSet

from dask_bacc.engine.worker import Nanny, Worker, retire
from dask_bacc.worker.messages import say_leaving

#: Of this process, which may have several.
_nodes: WeakSet[Worker | Nanny] = WeakSet()
#: The event loop keeps only weak references to tasks.
_leaving: set[asyncio.Task[None]] = set()


async def dask_setup(node: Worker | Nanny) -> None:
    """Called by dask when a worker or nanny starts."""
    _nodes.add(node)
    # After that of dask's command line, which it replaces.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, leave)


def leave() -> None:
    """Have all workers of this process hand on their data and close; on their event loop."""
    # Who is told twice is in a hurry.
    asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)
    for node in _nodes:
        if isinstance(node, Worker):
            say_leaving(node)
        task = asyncio.ensure_future(retire(node, "SIGTERM"))
        _leaving.add(task)
        task.add_done_callback(_leaving.discard)
