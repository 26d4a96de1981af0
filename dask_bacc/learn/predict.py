"""What a trained module says of rows."""

from __future__ import annotations

import copy
from typing import Any

import dask.array as da
import numpy as np
import torch
from torch import nn

from dask_bacc.coding._typing import AnyArray
from dask_bacc.learn.data import one_hot, plain

#: Rows that are predicted at once.
ROWS = 4096


def outputs_of(module: nn.Module, x: Any) -> Any:
    """What the module gives for rows, in double precision; a dask array of dask arrays.

    Parameters
    ----------
    module : torch.nn.Module
    x : (r, ...) array
    """
    x = plain(x)
    module = copy.deepcopy(module).eval()
    dtype = next(module.parameters()).dtype

    def outputs(rows: AnyArray) -> AnyArray:
        with torch.no_grad():
            parts = [
                module(torch.from_numpy(np.ascontiguousarray(rows[i : i + ROWS])).to(dtype))
                for i in range(0, max(len(rows), 1), ROWS)
            ]
        return np.concatenate([part.double().numpy() for part in parts])

    if not isinstance(x, da.Array):
        return outputs(x)
    x = x.rechunk(dict.fromkeys(range(1, x.ndim), -1))
    like = outputs(np.zeros((1, *x.shape[1:]), x.dtype))
    return x.map_blocks(
        outputs,
        dtype=like.dtype,
        drop_axis=list(range(1, x.ndim)),
        new_axis=list(range(1, like.ndim)),
        chunks=(x.chunks[0], *((size,) for size in like.shape[1:])),
    )


def classes_wanted(module: nn.Module, x: Any, y: Any) -> Any:
    """Classes of rows as rows of chances, as many as the module gives.

    Parameters
    ----------
    module : torch.nn.Module
    x : (r, ...) array
    y : (r,) array

    Raises
    ------
    TypeError
        If classes are no integers.
    ValueError
        If the module has no output for one.
    """
    if y.dtype.kind not in "iu":
        raise TypeError(f"classes must be integers, got {y.dtype}")
    count = outputs_of(module, plain(x)[:1]).shape[1]
    ends = [y.min(), y.max()]
    least, largest = map(int, da.compute(*ends) if isinstance(y, da.Array) else ends)
    if least < 0 or largest >= count:
        raise ValueError(
            f"classes must be 0 to {count - 1}, for the module gives {count} numbers a row; got "
            f"{least} to {largest}"
        )
    return one_hot(y, count)


def chances_of(outputs: Any) -> Any:
    """Chances of classes, from the scores that a module gives.

    Examples
    --------
    >>> chances_of(np.zeros((1, 2)))
    array([[0.5, 0.5]])
    """
    powers = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def score_of(predicted: Any, wanted: Any, *, classes: bool) -> float:
    """Share of the classes that are right, or the coefficient of determination.

    Examples
    --------
    >>> score_of(np.array([1, 0]), np.array([1, 1]), classes=True)
    0.5
    """
    if classes:
        wanted = wanted if wanted.ndim == 1 else wanted.argmax(axis=1)
        return float((predicted == wanted).mean())
    off = ((predicted.reshape(wanted.shape) - wanted) ** 2).sum()
    return float(1 - off / ((wanted - wanted.mean(axis=0)) ** 2).sum())
