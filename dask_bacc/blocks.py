"""Functions of an array's blocks as dask has them, run so that no worker keeps them waiting."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import dask.array as da
import numpy as np
from dask.array.core import concatenate3
from dask.utils import funcname
from distributed import Client

from dask_bacc.api import encode
from dask_bacc.asked import TaskOptions, annotated, options_of
from dask_bacc.coding import Uncoded
from dask_bacc.engine.tasks import optimised
from dask_bacc.graphs.nodes import nodes_graph
from dask_bacc.results.encoded import Encoded
from dask_bacc.run import CodedRun
from dask_bacc.runtime.start import start


@dataclass(frozen=True, eq=False)
class LazyBlocks:
    """A function of an array's blocks that is yet to run; made by `dask_bacc.map_blocks`.

    Attributes
    ----------
    array : dask.array.Array
        What dask's own function gives: the same answer, without protection.
    """

    array: da.Array
    _name: str
    _options: TaskOptions
    #: the array, the function with its arguments, and `rtol`, if the answer may be off
    _coded: tuple[Any, Callable[..., Any], Sequence[Any], Mapping[str, Any], float] | None = None

    @property
    def shape(self) -> tuple[float, ...]:
        """Of the answer."""
        shape: tuple[float, ...] = self.array.shape
        return shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the answer."""
        dtype: np.dtype[Any] = self.array.dtype
        return dtype

    @property
    def chunks(self) -> tuple[tuple[float, ...], ...]:
        """Of the answer."""
        chunks: tuple[tuple[float, ...], ...] = self.array.chunks
        return chunks

    def run(self, client: Client | None = None) -> CodedRun[Any]:
        """Start to compute; see `CodedRun`.

        Parameters
        ----------
        client : distributed.Client, optional
            By default the current one.
        """
        if self._coded is not None:
            x, func, args, kwargs, rtol = self._coded
            more = -(-x.numblocks[0] // 2)
            coded = encode(x, n=x.numblocks[0] + more)
            options = {**vars(self._options), "rtol": rtol}
            return coded.map(func, *args, kwargs=kwargs, client=client, **options)
        graph, keys = optimised(self.array)
        shape = self.array.numblocks
        return run_nodes(
            partial(nodes_graph, graph, keys, self._name),
            len(keys),
            lambda blocks: joined(blocks, shape),
            self._options,
            client,
        )

    def compute(self, client: Client | None = None) -> Any:
        """The answer, of the library that the blocks are of; waits for it."""
        return self.run(client).result()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        """The answer as a NumPy array; waits for it."""
        return np.array(self.compute(), dtype=dtype, copy=copy)

    def __repr__(self) -> str:
        return f"LazyBlocks<{self._name}, shape={self.shape}, dtype={self.dtype}>"


def run_nodes(
    graph_of: Any,
    count: int,
    assemble: Callable[[list[Any]], Any],
    said: TaskOptions,
    client: Client | None,
) -> CodedRun[Any]:
    """Run tasks of a graph as blocks, once more where they are late, for an exact answer.

    Parameters
    ----------
    graph_of : callable
        See `dask_bacc.runtime.start.start`.
    count : int
        Number of tasks.
    assemble : callable
        Makes the answer of the list of their values.
    said : TaskOptions
    client : distributed.Client, optional
    """
    code = Uncoded(count, count)
    fixed = {"enough": None, "rtol": 0, "decoder": None, "combine": "list", "launch": "eager"}
    kept = {"cancel": "cancel", "suspects": "keep"}
    own = {"deadline": said.deadline, "copies": said.copies, "retries": said.retries}
    options = options_of(code, {**fixed, **kept, **own})
    encoded = Encoded((), None, 0.0, integers=False, assemble=assemble)
    with annotated(said.workers, said.resources, said.priority):
        return CodedRun(start(graph_of, code, options, encoded, {}, client))


def joined(blocks: Sequence[Any], shape: Sequence[int]) -> Any:
    """An array of its blocks, in the order in which dask has their keys.

    Examples
    --------
    >>> joined([np.ones((1, 1)), np.zeros((1, 2))], (1, 2))
    array([[1., 0., 0.]])
    """
    if not shape:
        return blocks[0]
    nested = np.empty(len(blocks), dtype=object)
    nested[:] = list(blocks)
    return concatenate3(nested.reshape(tuple(shape)).tolist())


def map_blocks(
    func: Callable[..., Any],
    *args: Any,
    rtol: float | None = None,
    deadline: float | None = None,
    copies: bool | None = None,
    retries: int = 0,
    workers: str | Sequence[str] | None = None,
    resources: Mapping[str, float] | None = None,
    priority: int | None = None,
    **kwargs: Any,
) -> LazyBlocks:
    """As `dask.array.map_blocks`, but no worker keeps the answer waiting.

    The same tasks with the same blocks give the same answer, bit for bit. One that is late runs
    once more on an idle worker, and what comes first counts.

    Parameters
    ----------
    func, *args, **kwargs
        As in `dask.array.map_blocks`: arrays, and ``dtype``, ``chunks``, ``drop_axis``,
        ``new_axis``, ``meta``, ``name``, ``enforce_ndim``; functions with ``block_info`` and
        ``block_id`` get them.
    rtol : float, optional
        Largest estimated error of the answer, for one array that is cut along its first axis: its
        blocks get parity, half as many chunks again. By default the answer is exact.
    deadline, copies, retries, workers, resources, priority : optional
        As in `CodedArray.map`.

    Returns
    -------
    LazyBlocks
        ``compute()`` gives the answer, ``run()`` a `CodedRun`.

    Raises
    ------
    ValueError
        If `rtol` is given where blocks are not cut along the first axis alone.

    Examples
    --------
    >>> import dask.array as da
    >>> import dask_bacc
    >>> x = da.arange(12, chunks=4).reshape(3, 4)
    >>> dask_bacc.map_blocks(lambda b: b - b.mean(), x).compute()[0]
    array([-1.5, -0.5,  0.5,  1.5])
    """
    options = TaskOptions(deadline, copies, retries, workers, resources, priority)
    array = da.map_blocks(func, *args, **kwargs)
    if rtol is None:
        return LazyBlocks(array, funcname(func), options)
    return _approximately(array, func, args, kwargs, options, rtol)


def map_overlap(
    func: Callable[..., Any],
    *args: Any,
    deadline: float | None = None,
    copies: bool | None = None,
    retries: int = 0,
    workers: str | Sequence[str] | None = None,
    resources: Mapping[str, float] | None = None,
    priority: int | None = None,
    **kwargs: Any,
) -> LazyBlocks:
    """As `dask.array.map_overlap`, but no worker keeps the answer waiting; see `map_blocks`.

    Parameters
    ----------
    func, *args, **kwargs
        As in `dask.array.map_overlap`: arrays, and ``depth``, ``boundary``, ``trim``,
        ``align_arrays``, ``allow_rechunk`` and what `map_blocks` takes.
    deadline, copies, retries, workers, resources, priority : optional
        As in `CodedArray.map`.

    Examples
    --------
    >>> import dask.array as da
    >>> import dask_bacc
    >>> x = da.arange(6, chunks=3)
    >>> dask_bacc.map_overlap(lambda b: b[2:] - b[:-2], x, depth=1, boundary="none", trim=False,
    ...                       dtype=int, chunks=((2, 2),)).compute()
    array([2, 2, 2, 2])
    """
    options = TaskOptions(deadline, copies, retries, workers, resources, priority)
    return LazyBlocks(da.map_overlap(func, *args, **kwargs), funcname(func), options)


def _approximately(
    array: da.Array,
    func: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    options: TaskOptions,
    rtol: float,
) -> LazyBlocks:
    """The same with parity, where there is one array that is cut along its first axis."""
    arrays = [x for x in args if isinstance(x, da.Array)]
    shaping = kwargs.keys() & {"drop_axis", "new_axis", "chunks", "enforce_ndim"}
    if len(arrays) != 1 or args[0] is not arrays[0] or shaping:
        raise ValueError(
            "with rtol the function is of blocks of one array, which comes first, and gives "
            "blocks of the same layout; encode arrays and use map for others"
        )
    (x,) = arrays
    if any(count != 1 for count in x.numblocks[1:]) or len(set(x.chunks[0])) != 1:
        raise ValueError(
            "with rtol blocks are cut along the first axis, all of one size, got chunks "
            f"{x.chunks}; rechunk, or leave rtol out for an exact answer"
        )
    own = {k: v for k, v in kwargs.items() if k not in ("dtype", "meta", "name", "token")}
    return LazyBlocks(array, funcname(func), options, (x, func, args[1:], own, rtol))
