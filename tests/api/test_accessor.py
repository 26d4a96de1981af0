"""Labelled arrays by their accessor, on a real grid: 240 years of air temperature."""

from __future__ import annotations

from pathlib import Path

import flox.xarray
import iris_sample_data
import numpy as np
import pytest
import xarray as xr
from distributed import get_worker

import dask_bacc.xarray  # noqa: F401

FILES = Path(iris_sample_data.__file__).parent / "sample_data"
ON_TIME = {"dim": "time", "k": 8}


def scenario(name: str) -> xr.Dataset:
    """Air temperature of North America, by a scenario of emissions."""
    with xr.open_dataset(FILES / f"{name}_north_america.nc", decode_times=False) as dataset:
        return dataset[["air_temperature"]].load()


@pytest.fixture(scope="module")
def grid() -> xr.Dataset:
    return scenario("A1B")


@pytest.fixture(scope="module")
def temperature(grid) -> xr.DataArray:
    return grid.air_temperature


def regridded(field: xr.DataArray) -> xr.DataArray:
    """On every second latitude and between longitudes; linear."""
    return field.interp(
        latitude=field.latitude[::2].values, longitude=np.arange(230.0, 310.0, 5.0)
    )


def humidity(field: xr.DataArray) -> xr.DataArray:
    """Saturation specific humidity at 1,000 hPa (Bolton, Monthly Weather Review 108, 1980)."""
    celsius = field - 273.15
    pressure = 6.112 * np.exp(17.67 * celsius / (celsius + 243.5))
    made = 0.622 * pressure / (1000 - 0.378 * pressure)
    return made.rename("humidity").assign_attrs(units="kg kg-1")


def lacking(func, missing):
    """The function, of which some chunks raise."""

    def failing(block):
        if get_worker().get_current_task()[1] in missing:
            raise OSError("its file cannot be read")
        return func(block)

    return failing


def test_regridding_is_exact_without_two_of_ten_chunks(client, temperature):
    temperature = temperature.astype(float)
    func = lacking(regridded, {2, 5})
    # Of linear functions every linear code tells what is missing; with as many results as blocks
    # nothing but the user knows that this is one.
    run = temperature.bacc.map(func, n=10, decoder="least-squares", copies=False, **ON_TIME)
    answer, expected = run.result(timeout=60), regridded(temperature)
    assert run.report.missing == (2, 5)
    np.testing.assert_allclose(answer, expected, rtol=1e-8)
    assert answer.dims == expected.dims
    assert set(answer.coords) == set(expected.coords)
    for name, coord in expected.coords.items():
        xr.testing.assert_identical(answer[name].drop_attrs(), coord.drop_attrs())
    assert answer.attrs == expected.attrs


def test_a_diagnostic_is_within_three_bars(client):
    temperature = scenario("E1").air_temperature
    func = lacking(humidity, {2, 5})
    run = temperature.bacc.map(func, n=10, rtol=0.5, copies=False, **ON_TIME)
    answer, expected = run.result(timeout=60), humidity(temperature)
    error = run.error()
    assert answer.name == "humidity"
    assert answer.attrs == expected.attrs
    assert error.dims == ("time",)
    np.testing.assert_array_equal(error.time, temperature.time)
    off = np.abs(answer - expected).mean(["latitude", "longitude"]) / np.abs(expected).mean()
    lost = error > 0
    assert int(lost.sum()) == 2 * temperature.sizes["time"] // 8
    rms = np.sqrt(((answer - expected) ** 2).mean() / (expected**2).mean())
    assert rms <= 3 * run.report.error
    assert not off.where(~lost, 0).any()


def test_a_dataset_comes_back_as_one(client, grid):
    land = xr.DataArray(
        grid.air_temperature.isel(time=0).values > 280,
        dims=("latitude", "longitude"),
        attrs={"long_name": "warm at first"},
    )
    source = grid.assign(warm=land, doubled=2 * grid.air_temperature).assign_attrs(title="a grid")

    def function(block: xr.Dataset) -> xr.Dataset:
        masked = block.air_temperature.where(block.warm)
        return xr.Dataset(
            {"warm_mean": masked.mean(["latitude", "longitude"]), "sum": block.doubled + 1}
        )

    answer = source.bacc.map(function, **ON_TIME).result(timeout=60)
    expected = function(source)
    assert isinstance(answer, xr.Dataset)
    assert answer.attrs == source.attrs
    xr.testing.assert_allclose(answer.drop_attrs(), expected.drop_attrs())
    assert set(answer.coords) == set(expected.coords)


def test_means_of_decades_as_flox_groups_them(client, temperature):
    """A block is three decades long; the groups are the function's own dimension."""
    decades = np.arange(30) // 10

    def means(block):
        return flox.xarray.xarray_reduce(
            block, xr.DataArray(decades, dims="time", name="decade"), func="mean"
        )

    run = temperature.bacc.map(means, combine="stack", **ON_TIME)
    answer = run.result(timeout=60)
    whole = temperature.values.reshape(8, 3, 10, *temperature.shape[1:]).mean(axis=2)
    assert answer.dims[0] == "block"
    np.testing.assert_allclose(
        answer.transpose("block", "decade", "latitude", "longitude"), whole, rtol=1e-5
    )


def test_answers_are_written_and_read_back(client, temperature, tmp_path):
    answer = temperature.bacc.map(lambda block: block - 273.15, **ON_TIME).result(timeout=60)
    assert answer.name == temperature.name
    answer.to_dataset().to_zarr(tmp_path / "celsius.zarr", consolidated=False)
    with xr.open_zarr(tmp_path / "celsius.zarr", consolidated=False, decode_times=False) as back:
        xr.testing.assert_allclose(back.air_temperature.load(), answer)


def test_a_template_gives_labels(client, temperature):
    template = temperature.isel(latitude=0, drop=True).rename("zonal").assign_attrs(units="degC")
    plain = temperature.bacc.map(
        lambda block: block.values[:, 0] - 273.15, template=template, **ON_TIME
    )
    xr.testing.assert_allclose(plain.result(timeout=60), template.copy(data=template - 273.15))
    wrong = temperature.bacc.map(lambda block: block, template=template, **ON_TIME)
    with pytest.raises(ValueError, match=r"the template has dimensions .*'longitude'"):
        wrong.result(timeout=60)


def test_dask_arrays_are_encoded_on_the_cluster(client, grid):
    chunked = grid.chunk(time=30)
    answer = chunked.bacc.encode(dim="time", n=10).persist().map(lambda b: b * 2, rtol=1e-9)
    xr.testing.assert_allclose(answer.result(timeout=60), grid * 2)


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda x: x.bacc.encode(dim="times", k=8), ValueError, "no dimension 'times'; there are"),
        (lambda x: x.bacc.encode(dim="time", k=7), ValueError, "along dimension 'time': k=7"),
        (
            lambda x: x.assign(name=("time", ["x"] * 240)).bacc.encode(dim="time", k=8),
            TypeError,
            "variable 'name' has .* along 'time'.*drop_vars",
        ),
        (
            lambda x: x.bacc.map(lambda b: b, dim="time", k=8, template=x * 2 + 1).error(),
            ValueError,
            "not known",
        ),
    ],
)
def test_bad_input_names_dimensions_and_variables(client, grid, call, error, said):
    with pytest.raises(error, match=said):
        call(grid)
