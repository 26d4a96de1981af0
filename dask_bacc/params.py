"""A function of many sets of parameters, as `distributed.Client.map` has it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any, TypeVar

from dask.typing import Key
from dask.utils import funcname
from distributed import Client

from dask_bacc.asked import TaskOptions
from dask_bacc.blocks import run_nodes
from dask_bacc.engine.tasks import Task
from dask_bacc.graphs.nodes import nodes_graph
from dask_bacc.run import CodedRun
from dask_bacc.runtime.client import resolve_client

#: What the function returns.
R = TypeVar("R")

#: Tasks for each thread, at most: more are run several to a task.
TURNS = 32


def map(  # noqa: A001 - as Client.map, and never without its module
    func: Callable[..., R],
    *iterables: Iterable[Any],
    kwargs: Mapping[str, Any] | None = None,
    batch_size: int | None = None,
    deadline: float | None = None,
    copies: bool | None = None,
    retries: int = 0,
    workers: str | Sequence[str] | None = None,
    resources: Mapping[str, float] | None = None,
    priority: int | None = None,
    client: Client | None = None,
) -> CodedRun[list[R]]:
    """Run a function on many sets of parameters, and wait for no slow worker.

    ``map(func, xs, ys).result()`` is ``client.gather(client.map(func, xs, ys))``: a list, in
    order. What is late runs once more on an idle worker, and what comes first counts.

    Parameters
    ----------
    func : callable
        Its results may be anything that pickles.
    *iterables
        Of parameters: lists, arrays (row by row), generators.
    kwargs : mapping, optional
        Passed on to every call.
    batch_size : int, optional
        Sets of parameters to a task; by default one, or more where there would be more than 32
        tasks for each thread.
    deadline, copies, retries, workers, resources, priority : optional
        As in `CodedArray.map`.
    client : distributed.Client, optional
        By default the current one.

    Returns
    -------
    CodedRun

    Raises
    ------
    TypeError
        If `func` is not callable.
    ValueError
        If there are no parameters, or iterables of different lengths.

    Examples
    --------
    >>> import dask_bacc
    >>> dask_bacc.map(pow, [2, 3, 4], [5, 2, 1]).result()
    [32, 9, 4]
    """
    if not callable(func):
        raise TypeError(f"func must be callable, got {type(func).__name__}")
    if not iterables:
        raise ValueError("map needs at least one iterable of parameters")
    try:
        sets = list(zip(*iterables, strict=True))
    except ValueError as error:
        raise ValueError(f"iterables of parameters must be of one length: {error}") from None
    if not sets:
        raise ValueError("there are no parameters to map the function over")
    client = resolve_client(client)
    if batch_size is None:
        threads = max(sum(client.nthreads().values()), 1) if not client.asynchronous else 1
        batch_size = max(len(sets) // (TURNS * threads), 1)
    batches = [sets[i : i + batch_size] for i in range(0, len(sets), batch_size)]
    named = dict(kwargs or {})
    graph: dict[Key, Any] = {
        ("batch", i): Task(("batch", i), _run_batch, func, batch, named)
        for i, batch in enumerate(batches)
    }
    options = TaskOptions(deadline, copies, retries, workers, resources, priority)
    return run_nodes(
        partial(nodes_graph, graph, list(graph), funcname(func)),
        len(batches),
        lambda found: list(chain.from_iterable(found)),
        options,
        client,
    )


def _run_batch(
    func: Callable[..., Any], batch: Sequence[tuple[Any, ...]], kwargs: Mapping[str, Any]
) -> list[Any]:
    return [func(*one, **kwargs) for one in batch]
