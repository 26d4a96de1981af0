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


def field_of(block, dims=("station", "time"), **labels):
    return xr.DataArray(block, dims=dims, **labels)


@pytest.mark.parametrize("dims", [("time", "station"), ("station", "time")])
def test_a_functions_own_dims_are_kept(client, field, dims):
    coded = dask_bacc.encode(field, dim="time", k=4, n=6)
    answer = coded.map(lambda b: field_of(b).transpose(*dims) ** 2, enough=6).result()
    expected = (field**2).compute().drop_attrs().transpose(*dims).rename(None)
    xr.testing.assert_identical(answer, expected)


def test_new_and_reduced_dims_are_joined_along_the_cut(client, field):
    def function(block):
        whole = field_of(block)
        moments = xr.concat([whole.mean("station"), whole.std("station")], dim="moment")
        return {"moments": moments, "squares": [whole**2, whole.T], "plain": block}

    answer = dask_bacc.encode(field, dim="time", k=4, n=6).map(function, enough=6).result()
    whole = field.compute()
    moments = xr.concat([whole.mean("station"), whole.std("station")], dim="moment")
    assert answer["moments"].dims == ("moment", "time")
    xr.testing.assert_allclose(answer["moments"], moments.drop_attrs())
    xr.testing.assert_allclose(answer["squares"][0], (whole**2).drop_attrs())
    assert answer["squares"][1].dims == ("time", "station")
    xr.testing.assert_allclose(answer["squares"][1], whole.T)
    xr.testing.assert_identical(answer["plain"], whole)


@pytest.mark.parametrize("combine", ["stack", "sum", "mean"])
def test_own_dims_of_combined_blocks(client, field, combine):
    coded = dask_bacc.encode(field, dim="time", k=4, n=6)
    answer = coded.map(lambda b: field_of(b).T, combine=combine, enough=6).result()
    blocks = np.stack(np.split(field.values.T, 4))
    expected = blocks if combine == "stack" else getattr(blocks, combine)(axis=0)
    np.testing.assert_allclose(answer, expected)
    assert answer.dims[-2:] == ("time", "station")
    assert answer.dims[:-2] == (("block",) if combine == "stack" else ())
    assert set(answer.coords) == {"station", "height"}


def test_a_functions_own_coordinates_are_kept_where_chunks_agree(client, field):
    def function(block):
        return field_of(
            block,
            coords={
                "station": list("vwxyz"),
                "mean": block.mean(),
                "unit": "K",
                "time": np.arange(block.shape[1]),
                "height": ("station", block[:, 0]),
            },
            name="squares",
            attrs={"made": "here", "mean": block.mean()},
        )

    answer = dask_bacc.encode(field, dim="time", k=4, n=6).map(function, enough=6).result()
    assert list(answer.station.values) == list("vwxyz")
    assert answer.unit.item() == "K"
    assert answer.name == "squares"
    assert answer.attrs == {"made": "here"}
    # Blocks disagree, and what the function has given there is not what the field has.
    assert "mean" not in answer.coords
    assert "height" not in answer.coords
    np.testing.assert_array_equal(answer.time, TIMES)


def test_a_result_without_the_dimension_of_the_cut_is_refused(client, field):
    coded = dask_bacc.encode(field, dim="time", k=4, n=6)
    with pytest.raises(ValueError, match=r"without 'time' to concatenate along.*combine='stack'"):
        coded.map(lambda b: field_of(b).mean("time")).result(timeout=60)
    answer = coded.map(lambda b: field_of(b).mean("time"), combine="stack", enough=6).result()
    assert answer.dims == ("block", "station")


def test_results_of_different_dims_do_not_fit(client, field):
    def function(block):
        square = field_of(block[:3])
        return square.rename(station="x") if block[0, 0] == field.values[0, 0] else square

    run = dask_bacc.encode(field, dim="time", k=4, n=6).map(function, enough=6)
    with pytest.raises(
        dask_bacc.DecodeError, match=r"chunk 0 array\(x: 3, time: 3\)|\(station: 3"
    ):
        run.result(timeout=60)


def test_data_arrays_of_plain_sources(client):
    values = np.arange(24.0).reshape(8, 3)
    coded = dask_bacc.encode(values, k=4, n=6)
    answer = coded.map(lambda b: field_of(b, ("row", "column")), enough=6).result()
    xr.testing.assert_identical(answer, field_of(values, ("row", "column")))


@pytest.mark.parametrize("which", [0, 1])
def test_arrays_cut_along_different_axes_are_joined_as_what_is_returned(client, which):
    left = xr.DataArray(
        np.arange(24.0).reshape(8, 3), dims=("time", "c"), coords={"time": range(8)}, name="p"
    )
    arrays = (left, left.T.rename("q"))
    run = dask_bacc.encode(*arrays, dim="time", k=4, n=6).map(lambda *b: b[which], enough=6)
    xr.testing.assert_identical(run.result(timeout=60), arrays[which])
