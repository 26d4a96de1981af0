"""Bad input gets one clear error before anything is submitted."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import sparse

import dask_bacc

X = np.zeros((12, 3))


def unknown_chunks():
    x = da.from_array(np.arange(10), chunks=5)
    return x[x > 3]


@pytest.mark.parametrize(
    ("arrays", "options", "error", "message"),
    [
        ([X], {"n": 3, "k": 4}, ValueError, "n must be at least 4"),
        ([X], {"n": 9, "k": 5}, ValueError, "nearest k that fits is 6"),
        ([X], {"n": 99, "k": 13}, ValueError, "nearest k that fits is 12"),
        ([X], {"n": 9, "k": 0}, ValueError, "at least 1, got 0"),
        ([X], {"n": 9}, ValueError, "k is needed.*divide 12"),
        ([da.zeros((10, 2), chunks=(4, 2))], {"n": 9}, ValueError, "nearest k that fits is 2"),
        ([unknown_chunks()], {"n": 9}, ValueError, "compute_chunk_sizes"),
        ([X.astype(object)], {"n": 9, "k": 4}, TypeError, "array 0: .* dtype object"),
        ([X.astype(str)], {"n": 9, "k": 4}, TypeError, "dtype <U32"),
        ([X.astype("M8[s]")], {"n": 9, "k": 4}, TypeError, "dtype datetime64"),
        ([X.astype("m8[s]")], {"n": 9, "k": 4}, TypeError, "dtype timedelta64"),
        ([np.ma.masked_less(X, 1)], {"n": 9, "k": 4}, TypeError, "masked.*numpy.ma.filled"),
        (
            [da.ma.masked_less(da.zeros(4, chunks=1), 1)],
            {"n": 9},
            TypeError,
            "dask.array.ma.filled",
        ),
        (
            [da.zeros((12, 3), chunks=(3, 3)).map_blocks(sparse.csr_matrix)],
            {"n": 9},
            TypeError,
            "chunks of type scipy.sparse.*csr_matrix",
        ),
        ([xr.DataArray(X)], {"n": 9, "k": 4, "axis": 7}, ValueError, "so no axis 7"),
        ([np.zeros((0, 3))], {"n": 9, "k": 4}, ValueError, r"empty: its shape is \(0, 3\)"),
        ([np.zeros((4, 0))], {"n": 9, "k": 4}, ValueError, "empty"),
        ([np.float64(3)], {"n": 9, "k": 4}, TypeError, "float64; encode takes dask arrays"),
        ([np.array(3.0)], {"n": 9, "k": 4}, ValueError, "no axis to cut"),
        ([[1, 2]], {"n": 9, "k": 2}, TypeError, "type list; numpy.asarray makes"),
        (
            [xr.Dataset({"a": xr.DataArray(X)})],
            {"n": 9, "k": 4},
            TypeError,
            r"\*ds.data_vars.values\(\)",
        ),
        ([pd.DataFrame(X)], {"n": 9, "k": 4}, TypeError, r"encode its to_numpy\(\)"),
        (
            [X, pd.Series(X[:, 0])],
            {"n": 9, "k": 4},
            TypeError,
            r"array 1 .* encode its to_numpy\(\)",
        ),
        ([np.longdouble("1e400") * np.ones(12)], {"n": 9, "k": 4}, OverflowError, "scale it down"),
        ([X], {"n": 9, "k": 4, "axis": 2}, ValueError, "2 dimensions, so no axis 2"),
        ([], {"n": 9}, TypeError, "at least one array"),
        (
            [da.zeros(12, chunks=3), da.zeros(12, chunks=4)],
            {"n": 9},
            ValueError,
            "4 and 3 chunks",
        ),
        ([X, np.zeros(10)], {"n": 9, "k": 4}, ValueError, "12 and 10.*nearest k that fits is 2"),
        ([X], {"n": 9, "k": 4, "code": "fountain"}, ValueError, "known codes: berrut"),
        ([X], {"n": 9, "k": 4, "dim": "x"}, TypeError, "dim='x' names a dimension"),
        ([xr.DataArray(X)], {"n": 9, "k": 4, "dim": "x"}, ValueError, "no dimension 'x'"),
        ([xr.DataArray(X), X], {"n": 9, "k": 4}, TypeError, "cannot be encoded together"),
    ],
)
def test_encode_refuses(arrays, options, error, message):
    with pytest.raises(error, match=message):
        dask_bacc.encode(*arrays, **options)
