"""What to do with what cannot be encoded."""

from __future__ import annotations

from typing import Any


def instead_of(given: Any) -> str:
    """What to encode instead of something that is no array, for the end of a message.

    Examples
    --------
    >>> instead_of([1.0, 2.0])
    'numpy.asarray makes an array of it'
    """
    library, name = type(given).__module__.split(".")[0], type(given).__name__
    if (library, name) == ("xarray", "Dataset"):
        return (
            "encode its variables, encode(*ds.data_vars.values(), ...), so that the function gets "
            "a block of each, or ds.to_dataarray()"
        )
    if library == "xarray":
        return "encode its DataArrays or their .data"
    if library == "pandas":
        return "encode its to_numpy()"
    if library in ("dask", "dask_expr"):
        return "encode its to_dask_array(lengths=True)"
    if isinstance(given, list | tuple):
        return "numpy.asarray makes an array of it"
    return "encode takes dask arrays, NumPy arrays and xarray.DataArray"
