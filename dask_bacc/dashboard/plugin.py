"""A plugin of schedulers that adds the pages, and knows when runs were submitted."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from dask.typing import Key
from distributed import Scheduler
from distributed.diagnostics.plugin import SchedulerPlugin

from dask_bacc.dashboard.seen import run_of

#: Runs whose beginning is remembered.
REMEMBERED = 1000


class BaccDashboard(SchedulerPlugin):
    """Adds the page ``/bacc`` and two panels to a scheduler's dashboard."""

    name = "bacc-dashboard"
    idempotent = True

    def __init__(self) -> None:
        #: when runs were submitted
        self.began: dict[str, float] = {}

    async def start(self, scheduler: Scheduler) -> None:
        """Add them.

        Raises
        ------
        ImportError
            If there is no Bokeh where the scheduler runs.
        ValueError
            If the scheduler has no dashboard.
        """
        # Clients have no use for Bokeh.
        try:
            from dask_bacc.dashboard.page import pages
            from dask_bacc.engine.dashboard import add_pages
        except ImportError as error:
            raise ImportError(
                "the dashboard needs bokeh where the scheduler runs: install it there with "
                "`pip install 'dask-bacc[dashboard]'`"
            ) from error
        add_pages(scheduler, pages(self.began))

    def update_graph(self, scheduler: Scheduler, *, tasks: Iterable[Key], **kwargs: Any) -> None:
        """Note when runs are submitted."""
        names = {key[0] for key in tasks if isinstance(key, tuple) and isinstance(key[0], str)}
        for found in filter(None, map(run_of, names)):
            self.began.setdefault(found[1], time.time())
        while len(self.began) > REMEMBERED:
            del self.began[next(iter(self.began))]
