"""What a chunk brings back with a message is what it was."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr

from dask_bacc.coding.kriging.sketch import SIZE
from dask_bacc.results.result import flat_result
from dask_bacc.worker.brought import ChunkResult

Pair = namedtuple("Pair", "first second")

VALUES = {
    "doubles": np.linspace(0, 1, 12).reshape(3, 4),
    "transposed": np.arange(12.0).reshape(3, 4).T,
    "a number": 1.5,
    "an integer": 3,
    "integers": np.array([5]),
    "booleans": np.array([True, False]),
    "complex numbers": np.array([1 + 2j]),
    "other byte order": np.arange(3, dtype=">f4"),
    "nothing": np.zeros((0, 3)),
    "with a NaN": np.array([np.nan, 1.0, np.inf]),
    "a list": [np.zeros(2), 1.0],
    "an empty list": [],
    "an empty dict": {},
    "a named pair": Pair(np.zeros(2), np.ones(3)),
    "a tensor": torch.arange(3.0),
    "labelled": xr.DataArray([1.0, 2.0], dims="x", coords={"x": pd.Index(["a", "b"])}, name="v"),
}


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("sketched", [False, True])
def test_what_comes_is_what_was_sent(name: str, sketched: bool) -> None:
    sent = flat_result(VALUES[name], finite=False)
    sketches = [np.arange(4.0), np.arange(3, dtype=np.float32)] if sketched else None

    came = ChunkResult.unpacked(ChunkResult(sent.spec(), sketches, sent).packed())

    assert came.result is not None
    _assert_same(came.result.value(), sent.value())
    assert came.result.dtypes == sent.dtypes
    assert came.result.finite == sent.finite == came.spec.finite
    assert came.result.labels.keys() == sent.labels.keys()
    assert came.spec.matches(sent.spec())
    for ours, theirs in zip(came.spec.sketches, sent.spec().sketches, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    if sketches is None:
        assert came.sketches is None
    else:
        assert came.sketches is not None
        for ours, theirs in zip(came.sketches, sketches, strict=True):
            np.testing.assert_array_equal(ours, theirs, strict=True)


def test_who_gets_an_array_may_write_to_it() -> None:
    sent = flat_result(np.zeros(3))
    came = ChunkResult.unpacked(ChunkResult(sent.spec(), None, sent).packed())
    assert came.result is not None
    came.result.value()[:] = 1


def test_what_stays_on_its_worker_sends_what_is_to_be_known_of_it() -> None:
    sent = flat_result(np.linspace(0, 1, 5000))
    came = ChunkResult.unpacked(ChunkResult(sent.spec(), [np.zeros((2, SIZE))], None).packed())
    assert came.result is None
    np.testing.assert_array_equal(came.spec.sketches[0], sent.spec().sketches[0])
    assert came.sketches is not None
    assert came.sketches[0].size == SIZE


def _assert_same(ours: Any, theirs: Any) -> None:
    assert type(ours) is type(theirs)
    if isinstance(theirs, list | tuple):
        for pair in zip(ours, theirs, strict=True):
            _assert_same(*pair)
    else:
        np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs), strict=True)
