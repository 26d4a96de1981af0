"""How long tasks of all clients took of late, if the scheduler records it."""

from __future__ import annotations

from typing import Any

from distributed import Client

from dask_bacc.engine.scheduler import run_on_scheduler

#: Tasks that are looked at, at most.
TASKS = 5000


async def recorded_tasks(client: Client) -> list[dict[str, Any]]:
    """The task stream of a scheduler's dashboard; empty if nobody has looked at it.

    `Client.get_task_stream` would have it recorded from then on. A scheduler that refuses
    functions has none to give.
    """

    def last(dask_scheduler: Any, count: int) -> list[dict[str, Any]]:
        if (stream := dask_scheduler.plugins.get("task-stream")) is None:
            return []
        return [
            {"key": record["key"], "startstops": record["startstops"]}
            for record in stream.collect(count=count)
        ]

    return await run_on_scheduler(client, last, count=TASKS) or []
