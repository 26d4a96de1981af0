"""``dask bacc``, as ``dask`` finds it: its commands are imported when one of them is used."""

from __future__ import annotations

import importlib

import click


class _Commands(click.Group):
    """A group's commands, which are somewhere else."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names."""
        return self._there().list_commands(ctx)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """One of them."""
        return self._there().get_command(ctx, cmd_name)

    def _there(self) -> click.Group:
        group: click.Group = importlib.import_module("dask_bacc.cli").bacc
        return group


@click.group(cls=_Commands)
def bacc() -> None:
    """Map a function over blocks and never wait for the slowest worker."""
