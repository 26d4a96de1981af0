"""Coded runs on the scheduler's own dashboard, at ``/bacc``."""

from __future__ import annotations

from distributed import Client, Scheduler

from dask_bacc.dashboard.plugin import BaccDashboard

__all__ = ["BaccDashboard", "dask_setup", "register"]


def register(client: Client) -> str:
    """Show coded runs on the dashboard of a client's scheduler.

    At ``/bacc``: runs that go on and ended lately, the chunks of every worker, and workers that
    are slow, leave or do not respond. dask-labextension lists the same as panels, "Bacc Runs" and
    "Bacc Workers". The scheduler needs `dask_bacc` and Bokeh; on a command line,
    ``dask scheduler --preload dask_bacc.dashboard`` does the same.

    Parameters
    ----------
    client : Client

    Returns
    -------
    str
        Where the page is.

    Raises
    ------
    ImportError
        If there is no Bokeh where the scheduler runs.
    ValueError
        If the scheduler has no dashboard.
    """
    client.register_plugin(BaccDashboard())
    status: str = client.dashboard_link
    return status.removesuffix("status") + "bacc"


async def dask_setup(scheduler: Scheduler) -> None:
    """Of ``dask scheduler --preload dask_bacc.dashboard``."""
    await scheduler.register_scheduler_plugin(BaccDashboard(), idempotent=True)
