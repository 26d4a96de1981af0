"""How a cluster is, for people."""

from __future__ import annotations

from distributed import Client

from dask_bacc.policy.timing import Timing
from dask_bacc.runtime.client import on_loop
from dask_bacc.runtime.monitors import monitor_of


def cluster_text(client: Client) -> str:
    """The workers of a cluster, and which of them to keep away from, a line each.

    Parameters
    ----------
    client : Client
    """
    monitor = monitor_of(client)
    on_loop(client, monitor.refresh(client)).result()
    timing = Timing()
    unresponsive = monitor.unresponsive(timing.unresponsive_after)
    slow = monitor.speeds.slow(timing.slow_for)
    taken = set(monitor.still_running().values())
    lines = [f"cluster {client.scheduler_info()['address']}"]
    for worker in sorted(monitor.workers):
        known = monitor.info(worker)
        notes = [
            note
            for note, holds in (
                ("does not respond", worker in unresponsive),
                (f"{slow.get(worker, 0):.2g} times slower than others", worker in slow),
                ("still at cancelled chunks", worker in taken),
            )
            if holds
        ]
        threads = 0 if known is None else known.threads
        said = f"{threads} thread{'s' * (threads != 1)}"
        lines.append(f"  {worker}: {', '.join([said, *notes])}")
    return "\n".join(lines)
