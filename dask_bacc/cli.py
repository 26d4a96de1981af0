"""``dask bacc``: the command line."""

from __future__ import annotations

from pathlib import Path

import click


@click.group(name="bacc")
def bacc() -> None:
    """Coded computing: map a function over blocks and never wait for the slowest worker."""


@bacc.command()
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("dask-bacc-demo.png"),
    show_default=True,
    help="Where the picture is written.",
)
@click.option(
    "--patience",
    type=click.FloatRange(min=3),
    default=6.0,
    show_default=True,
    help="Seconds after which an answer is no longer waited for.",
)
def demo(output: Path, patience: float) -> None:
    """Lose a worker and slow another, and get three answers all the same.

    A linear, a smooth and a rough function are mapped over 5,000 handwritten digits on eight
    worker processes, of which one is stopped and one runs at a tenth of its speed; and again with
    map_blocks in the same situation.
    """
    try:
        from dask_bacc.demo.run import run_demo
    except ImportError as error:
        raise click.ClickException(
            f"the demo needs packages that are not installed ({error.name}); "
            "install them with: pip install 'dask-bacc[demo]'"
        ) from error
    if not output.absolute().parent.is_dir():
        raise click.BadParameter(f"there is no directory {output.parent}", param_hint="--output")
    run_demo(output, patience)
