"""Rows and what is wanted of them, in coded minibatches that stay on workers."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import dask.array as da
import numpy as np
from dask.base import annotate, get_annotations
from dask.typing import Key
from distributed import Client, futures_of

from dask_bacc.api import encode
from dask_bacc.array import CodedArray
from dask_bacc.coding._typing import AnyArray
from dask_bacc.engine.scheduler import large_graphs
from dask_bacc.learn.assigned import Assigned, Assignment
from dask_bacc.learn.policies import LOAD, Policy
from dask_bacc.runtime.client import on_loop, resolve_client
from dask_bacc.runtime.monitor import Monitor
from dask_bacc.runtime.monitors import monitor_of
from dask_bacc.runtime.restrict import persist_on

#: Of the beta distribution of shares, where rows are mixed.
MIXUP = 0.2


class Batches:
    """The rows in minibatches, each a slice of every block, encoded once for each code.

    Parameters
    ----------
    x, y : (r, ...) arrays
        NumPy's, dask's, or xarray's of either. Rows beyond a multiple of ``k * batches`` are left
        out.
    k : int
        Number of blocks.
    batches : int
        Minibatches of an epoch.
    order : (r,) ndarray of int, optional
        Rows in this order, for arrays of NumPy.
    seed : int
        Of what is drawn to mix rows.
    """

    def __init__(
        self,
        x: Any,
        y: Any,
        k: int,
        batches: int,
        order: AnyArray | None = None,
        seed: int = 0,
    ) -> None:
        x, y = plain(x), plain(y)
        if len(x) != len(y):
            raise ValueError(f"x and y must have as many rows, got {len(x)} and {len(y)}")
        #: rows of a block in a minibatch
        self.rows = len(x) // (k * batches)
        if self.rows == 0:
            raise ValueError(
                f"{len(x)} rows are too few for k={k} blocks in {batches} minibatches; make k or "
                "batches smaller"
            )
        if order is not None:
            x, y = x[order], y[order]
        self.k, self.batches = k, batches
        self._x, self._y = x, y
        self._coded: dict[tuple[str, int, int], CodedArray[Any]] = {}
        self._forgotten = False
        self._seed = seed

    def __len__(self) -> int:
        return self.batches

    def coded(self, batch: int, policy: Policy, n: int, client: Client | None) -> CodedArray[Any]:
        """The chunks of a minibatch, on workers."""
        mixed = "mixup" if policy.mixup else policy.code
        key = (policy.name if policy.assignment is not None else mixed, n, batch)
        # Those of a cluster that was restarted, or of a client that is closed, are gone.
        known = self._coded.get(key)
        if known is None or any(future.cancelled() for future in futures_of(known)):
            arrays = (self._slice(self._x, batch), self._slice(self._y, batch))
            coded: Any
            if policy.assignment is not None:
                coded = self._assigned(arrays, policy.assignment)
            else:
                if policy.mixup:
                    arrays = self._mixed_up(arrays, batch)
                coded = encode(*arrays, k=self.k, n=n, code=policy.code, axis=0)
            if self._forgotten:
                coded = coded.anew()
            there = resolve_client(client)
            # Not on workers that hang, as far as the scheduler knows.
            monitor = monitor_of(there)
            on_loop(there, monitor.refresh(there)).result()
            workers = monitor.available()
            with large_graphs():
                if workers:
                    known = on_loop(there, persist_on(there, coded, workers)).result()
                else:
                    with self._in_turn(coded, monitor, batch):
                        known = there.persist(coded)
            self._coded[key] = known
        return known

    def _in_turn(
        self, coded: CodedArray[Any], monitor: Monitor, first: int
    ) -> AbstractContextManager[None]:
        """Have chunks made on one worker after the other, from one on that is not always the same.

        They are made while others are computed with: who is idle then would get several of them,
        and compute with one after the other in every epoch. Chunks of dask arrays are made where
        their data is, and what the user says of workers stands.
        """
        threads = monitor.all_threads.items()
        # Neighbours are apart where workers have several threads.
        turns = sorted((turn, worker) for worker, count in threads for turn in range(count))
        seats = [worker for _, worker in turns]
        lazy = isinstance(self._x, da.Array) or isinstance(self._y, da.Array)
        if not seats or lazy or {"workers", "resources"}.intersection(get_annotations()):
            return nullcontext()
        names = {part.name for part in coded.parts}

        def worker_of(key: Key) -> list[str]:
            if isinstance(key, tuple) and key[0] in names and isinstance(key[1], int):
                return [seats[(first + key[1]) % len(seats)]]
            return []

        return annotate(workers=worker_of, allow_other_workers=True)

    def forget(self) -> None:
        """Chunks are made anew: what somebody waits for may be on a worker that hangs."""
        self._coded.clear()
        self._forgotten = True

    def _assigned(self, arrays: tuple[Any, ...], assignment: Assignment) -> CodedArray[Any]:
        """Chunks of several parts as they stand, with the factors of their rows."""
        matrix = assignment(self.k, min(LOAD, self.k))
        parts = [np.flatnonzero(row) for row in matrix]
        stacked = [
            _joined([_rows(array, part, self.rows) for held in parts for part in held.tolist()])
            for array in arrays
        ]
        factors = np.concatenate(
            [np.repeat(row[held], self.rows) for row, held in zip(matrix, parts, strict=True)]
        )
        coded = encode(*stacked, factors.astype(np.float32), k=self.k, code="uncoded", axis=0)
        graph = coded.__dask_graph__()
        return CodedArray(graph, coded.parts, Assigned.by(matrix))

    def _mixed_up(self, arrays: tuple[Any, ...], batch: int) -> tuple[Any, ...]:
        """Every row mixed with another one (Zhang et al., "mixup", ICLR 2018)."""
        count = self.k * self.rows
        rng = np.random.default_rng((self._seed, batch))
        share = rng.beta(MIXUP, MIXUP, count).astype(np.float32)
        mixed = []
        for array in arrays:
            own = share.reshape(-1, *(1,) * (array.ndim - 1))
            other = _joined([array[count // 2 :], array[: count // 2]])
            mixed.append(own * array + (1 - own) * other)
        return tuple(mixed)

    def targets(self) -> tuple[AnyArray, AnyArray]:
        """``(k, c)`` sums of what is wanted of the rows of each block, and of its squares."""
        # Squares of small integers and of large offsets are not to be had in their own dtype.
        used = self._y[: self.k * self.batches * self.rows].astype(np.float64)
        blocks = used.reshape(self.k, self.batches * self.rows, -1)
        sums, squares = blocks.sum(axis=1), (blocks * blocks).sum(axis=1)
        if isinstance(used, da.Array):
            sums, squares = da.compute(sums, squares)
        return sums, squares

    def _slice(self, array: Any, batch: int) -> Any:
        """The minibatch's rows of every block, block after block."""
        whole = self.batches * self.rows
        first = [block * whole + batch * self.rows for block in range(self.k)]
        return _joined([array[start : start + self.rows] for start in first])


def _joined(arrays: list[Any]) -> Any:
    join = da.concatenate if isinstance(arrays[0], da.Array) else np.concatenate
    return join(arrays)


def _rows(array: Any, part: int, rows: int) -> Any:
    """The rows of a part."""
    return array[part * rows : (part + 1) * rows]


def plain(array: Any) -> Any:
    """The array that a labelled one holds, or one of NumPy's."""
    if hasattr(array, "dims"):
        array = array.data
    return array if isinstance(array, da.Array) else np.asarray(array)


def one_hot(labels: Any, classes: int) -> Any:
    """Classes as rows of chances, which may be mixed.

    Examples
    --------
    >>> one_hot(np.array([1, 0]), 2)
    array([[0., 1.],
           [1., 0.]], dtype=float32)
    """
    eye = np.eye(classes, dtype=np.float32)
    if isinstance(labels, da.Array):
        return da.map_blocks(
            eye.__getitem__,
            labels,
            dtype=np.float32,
            new_axis=1,
            chunks=(*labels.chunks, (classes,)),
        )
    return eye[labels]
