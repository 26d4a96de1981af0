from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import xarray as xr

import dask_bacc

TIMES = np.arange("2020-01", "2021-01", dtype="M8[M]").astype("M8[ns]")


@pytest.fixture(params=[False, True], ids=["numpy", "dask"])
def field(request):
    values = np.random.default_rng(0).normal(size=(5, 12))
    if request.param:
        values = da.from_array(values, chunks=(5, 3))
    return xr.DataArray(
        values,
        dims=("station", "time"),
        coords={
            "time": TIMES,
            "station": list("abcde"),
            "height": ("station", np.arange(5.0)),
            "season": ("time", np.arange(12) // 3),
        },
        name="temperature",
        attrs={"units": "K"},
    )


def test_labels_are_kept_where_the_shape_is(client, field):
    answer = dask_bacc.encode(field, dim="time", k=4, n=6).map(np.square, enough=6).result()
    xr.testing.assert_identical(answer, (field**2).compute().assign_attrs(field.attrs))


def test_labels_of_combined_blocks(client, field):
    coded = dask_bacc.encode(field, dim="time", k=4, n=6)
    stacked = coded.map(np.square, enough=6, combine="stack").result()
    mean = coded.map(np.square, enough=6, combine="mean").result()
    assert stacked.dims == ("block", "station", "time")
    assert mean.dims == ("station", "time")
    for answer in (stacked, mean):
        assert set(answer.coords) == {"station", "height"}
        assert answer.attrs == {"units": "K"}
    np.testing.assert_allclose(mean, stacked.mean("block"))


def test_other_shapes_come_without_labels(client, field):
    coded = dask_bacc.encode(field, dim="time", k=4, n=6)
    answer = coded.map(lambda x: {"same": -x, "other": x.sum(axis=0)}, combine="stack").result()
    assert isinstance(answer["same"], xr.DataArray)
    assert isinstance(answer["other"], np.ndarray)


def test_arrays_are_paired_by_their_labels(client, field):
    backwards = field.isel(time=slice(None, None, -1))
    with pytest.raises(ValueError, match=r"different labels along .* xarray.align makes them fit"):
        dask_bacc.encode(field, backwards, dim="time", k=4, n=6)
    _, fitting = xr.align(field, backwards, join="left")
    run = dask_bacc.encode(field, fitting, dim="time", k=4, n=6).map(np.subtract)
    np.testing.assert_array_equal(run.result(), np.zeros(field.shape))


def test_axis_works_as_well(client, field):
    answer = dask_bacc.encode(field, axis=-1, k=4, n=6).map(np.negative, enough=6).result()
    xr.testing.assert_identical(answer, (-field).compute().assign_attrs(field.attrs))


def test_labels_are_those_of_the_time_of_encoding(client, field):
    field = field.drop_indexes("station").assign_coords(height=("station", np.arange(5.0)))
    coded = dask_bacc.encode(field, dim="time", k=4, n=6)
    expected = (field**2).compute().assign_attrs(field.attrs).copy(deep=True)
    field.coords["height"].values[:] = -1
    answer = coded.map(np.square, enough=6).result()
    xr.testing.assert_identical(answer, expected)
    assert set(answer.xindexes) == {"time"}


def test_a_new_axis_gets_a_name_that_is_free(client, field):
    coded = dask_bacc.encode(field.rename(station="block"), dim="time", k=4, n=6)
    stacked = coded.map(np.square, enough=6, combine="stack").result()
    assert stacked.dims == ("block_", "block", "time")
