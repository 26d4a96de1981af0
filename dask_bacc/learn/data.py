"""Rows and what is wanted of them, in coded minibatches that stay on workers."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import dask.array as da
import numpy as np
from distributed import Client, wait

from dask_bacc.api import encode
from dask_bacc.array import CodedArray
from dask_bacc.coding._typing import AnyArray


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
    """

    def __init__(
        self, x: Any, y: Any, k: int, batches: int, order: AnyArray | None = None
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

    def __len__(self) -> int:
        return self.batches

    def coded(self, batch: int, code: str, n: int, client: Client | None) -> CodedArray[Any]:
        """The chunks of a minibatch, on workers."""
        key = (code, n, batch)
        if key not in self._coded:
            arrays = (self._slice(self._x, batch), self._slice(self._y, batch))
            coded: Any = encode(*arrays, k=self.k, n=n, code=code, axis=0)
            with nullcontext() if client is None else client.as_current():
                coded = coded.persist()
            wait(coded)
            self._coded[key] = coded
        found: CodedArray[Any] = self._coded[key]
        return found

    def targets(self) -> tuple[AnyArray, AnyArray]:
        """``(k, c)`` sums of what is wanted of the rows of each block, and of its squares."""
        used = self._y[: self.k * self.batches * self.rows]
        blocks = used.reshape(self.k, self.batches * self.rows, -1)
        sums, squares = blocks.sum(axis=1), (blocks * blocks).sum(axis=1)
        if isinstance(used, da.Array):
            sums, squares = da.compute(sums, squares)
        return sums, squares

    def _slice(self, array: Any, batch: int) -> Any:
        """The minibatch's rows of every block, block after block."""
        whole = self.batches * self.rows
        first = [block * whole + batch * self.rows for block in range(self.k)]
        join = da.concatenate if isinstance(array, da.Array) else np.concatenate
        return join([array[start : start + self.rows] for start in first])


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
