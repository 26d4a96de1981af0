"""``dask bacc``: the command line."""

from __future__ import annotations

import contextlib
import importlib
import sys
import textwrap
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import click
import dask
import yaml
from distributed import Client

import dask_bacc
from dask_bacc.kubernetes import CLOUDS, manifests, problems
from dask_bacc.kubernetes.guards import TLS_FILES
from dask_bacc.planning.bench import bench_here
from dask_bacc.planning.laws import law_of
from dask_bacc.planning.simulation import simulated_text
from dask_bacc.runtime.standing import cluster_text

PICTURE = click.Path(dir_okay=False, path_type=Path)
SCHEDULER = click.option(
    "--scheduler", help="Address of a scheduler; by default workers are started here."
)


@click.group(name="bacc")
def bacc() -> None:
    """Map a function over blocks and never wait for the slowest worker."""


@bacc.command()
@click.option(
    "--output",
    type=PICTURE,
    default=Path("dask-bacc-demo.png"),
    show_default=True,
    help="Where the picture is written.",
)
@click.option(
    "--patience",
    type=click.FloatRange(min=3),
    help="Seconds after which an answer is no longer waited for; by default 6, and 20 to train.",
)
@click.option(
    "--job",
    type=click.Choice(["map", "train"]),
    default="map",
    show_default=True,
    help="Three functions that are mapped, or a network that is trained.",
)
def demo(output: Path, patience: float | None, job: str) -> None:
    """Lose a worker and slow another, and get three answers all the same.

    A linear, a smooth and a rough function are mapped over 5,000 handwritten digits on eight
    worker processes, of which one is stopped and one runs at a tenth of its speed; and again with
    map_blocks in the same situation. Or a network learns the digits, in the same situation, by
    rounds that remember, by leaving out who is late, and by waiting for all.
    """
    extras = "demo,learn" if job == "train" else "demo"
    try:
        name = "dask_bacc.demo.training" if job == "train" else "dask_bacc.demo.run"
        run_demo = importlib.import_module(name).run_demo
    except ImportError as error:
        raise click.ClickException(
            f"the demo needs packages that are not installed ({error.name}); "
            f"install them with: pip install 'dask-bacc[{extras}]'"
        ) from error
    if not output.absolute().parent.is_dir():
        raise click.BadParameter(f"there is no directory {output.parent}", param_hint="--output")
    run_demo(output, patience or (20.0 if job == "train" else 6.0))


@bacc.command()
@click.argument("function", metavar="MODULE:FUNCTION")
@click.argument("data", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--k", type=click.IntRange(min=2), default=8, show_default=True, help="Blocks.")
@click.option("--rtol", type=click.FloatRange(min=0), help="Error that is good enough.")
@click.option("--workers", type=click.IntRange(min=1), help="Threads that the run will have.")
@click.option(
    "--times",
    help="Seconds of tasks: pareto:SHAPE:LEAST, exponential:LEAST:MEAN, lognormal:MEDIAN:SIGMA, "
    "or a file of seconds; by default what the cluster takes.",
)
@click.option("--output", type=PICTURE, help="Where a picture is written.")
@SCHEDULER
def plan(
    function: str,
    data: Path,
    k: int,
    rtol: float | None,
    workers: int | None,
    times: str | None,
    output: Path | None,
    scheduler: str | None,
) -> None:
    """Say which code and options suit a function, and what each would cost.

    FUNCTION is tried on a few blocks of DATA, an array in a .npy file, cut along its first axis.
    """
    import numpy as np

    func = _function(function)
    with _refused():
        law = None if times is None else law_of(times)
    x = np.load(data, mmap_mode="r")
    with _client(scheduler) as client, _refused():
        planned = dask_bacc.plan(
            np.asarray(x), func, k=k, rtol=rtol, workers=workers, times=law, client=client
        )
        click.echo(str(planned))
        if output is not None:
            figure = planned.plot().get_figure(root=True)
            assert figure is not None
            figure.savefig(output, dpi=130)


@bacc.command()
@click.option("--scheduler", help="Address of a scheduler whose workers are looked at.")
def info(scheduler: str | None) -> None:
    """Say which versions are installed, what is configured, and how a cluster is."""
    click.echo("versions")
    for name in ("dask-bacc", "dask", "distributed", "numpy", "scipy", "xarray"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            click.echo(f"  {name} {metadata.version(name)}")
    click.echo("configuration (bacc)")
    click.echo(textwrap.indent(yaml.safe_dump(dask.config.get("bacc")).rstrip(), "  "))
    if scheduler is not None:
        with _client(scheduler) as client:
            click.echo(cluster_text(client))


@bacc.command()
@click.option("--k", type=click.IntRange(min=2), default=8, show_default=True, help="Blocks.")
@click.option(
    "--workers", type=click.IntRange(min=1), default=12, show_default=True, help="Threads."
)
@click.option(
    "--times",
    default="pareto:1.5:0.5",
    show_default=True,
    help="Seconds of tasks, as in dask bacc plan.",
)
@click.option(
    "--rounds", type=click.IntRange(min=10), default=400, show_default=True, help="Runs."
)
def simulate(k: int, workers: int, times: str, rounds: int) -> None:
    """Say how runs would go with given task times, without a cluster.

    Parity is taken to be good enough with as many results as blocks: of what function that is
    true, dask bacc plan finds out.
    """
    with _refused():
        click.echo(simulated_text(k, workers, law_of(times), rounds))


@bacc.command()
@click.option("--k", type=click.IntRange(min=2), default=8, show_default=True, help="Blocks.")
@click.option("--n", type=click.IntRange(min=2), default=12, show_default=True, help="Chunks.")
@click.option(
    "--times",
    default="pareto:1.5:0.2",
    show_default=True,
    help="Seconds of tasks, as in dask bacc plan.",
)
@click.option("--rounds", type=click.IntRange(min=1), default=8, show_default=True)
@SCHEDULER
def bench(k: int, n: int, times: str, rounds: int, scheduler: str | None) -> None:
    """Measure plain tasks, copies and parity on a cluster, with the same task times for all."""
    with _refused():
        law = law_of(times)
        with _client(scheduler) as client:
            click.echo(bench_here(client, k, n, law, rounds))


@bacc.command()
@click.option("--name", default="coded-job", show_default=True, help="Of the job or cluster.")
@click.option("--n", type=click.IntRange(min=1), required=True, help="Chunks of the code.")
@click.option("--k", type=click.IntRange(min=1), help="Blocks; by default two thirds of n.")
@click.option("--image", required=True, help="With dask-bacc and what the job needs.")
@click.option("--namespace", default="default", show_default=True)
@click.option(
    "--cloud", type=click.Choice(list(CLOUDS)), help="On whose spot machines workers run."
)
@click.option("--cpu", default="1", show_default=True, help="Of a worker.")
@click.option("--memory", default="4Gi", show_default=True, help="Of a worker.")
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--most", type=click.IntRange(min=1), help="Workers up to which a cluster grows.")
@click.option(
    "--tls",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A folder with ca.crt, tls.crt and tls.key.",
)
@click.argument("command", nargs=-1)
def kubernetes(
    n: int, k: int | None, tls: Path | None, command: tuple[str, ...], **options: Any
) -> None:
    """Write manifests for a job or a cluster on Kubernetes, for "kubectl apply -f -".

    COMMAND is the job's program and its arguments, after "--"; without one, there is a cluster
    and no job. What is wrong with the manifests is said on the standard error.
    """
    files = None if tls is None else _tls_files(tls)
    with _refused():
        made = manifests(n=n, k=k or max(2 * n // 3, 1), tls=files, command=command, **options)
    click.echo(yaml.safe_dump_all(made, sort_keys=False), nl=False)
    with contextlib.suppress(ImportError):
        for problem in problems(made):
            click.echo(problem, err=True)


def _tls_files(folder: Path) -> dict[str, bytes]:
    """Those of the certificates that are in a folder; it may have others, and folders."""
    paths = (folder / name for name in TLS_FILES)
    return {path.name: path.read_bytes() for path in paths if path.is_file()}


def _function(name: str) -> Callable[..., Any]:
    module, _, attribute = name.partition(":")
    sys.path.insert(0, "")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise click.BadParameter(f"{name!r} names no function: {error}") from error
    if not callable(found):
        raise click.BadParameter(f"{name!r} is no function")
    func: Callable[..., Any] = found
    return func


@contextlib.contextmanager
def _client(scheduler: str | None) -> Iterator[Client]:
    """A client of a scheduler, or of workers that are started for it."""
    with Client(scheduler) if scheduler else Client(dashboard_address="127.0.0.1:0") as client:
        yield client


@contextlib.contextmanager
def _refused() -> Iterator[None]:
    """Bad input is told in a line."""
    try:
        yield
    except (TypeError, ValueError, OSError) as error:
        raise click.ClickException(str(error)) from error
