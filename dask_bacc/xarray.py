"""Coded runs over labelled arrays: the accessor ``.bacc`` of DataArrays and Datasets.

``import dask_bacc.xarray`` registers it, and so does ``import dask_bacc`` where xarray is there.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import numpy as np
import xarray
from distributed import Client

from dask_bacc.api import encode
from dask_bacc.array import CodedArray
from dask_bacc.coding import Code
from dask_bacc.engine.scheduler import large_graphs
from dask_bacc.labelled import Labelled, Skeleton, fitted, relabelled
from dask_bacc.records.report import RunReport
from dask_bacc.run import CodedRun

#: What has labels.
LabelledData = xarray.DataArray | xarray.Dataset


@xarray.register_dataarray_accessor("bacc")  # type: ignore[no-untyped-call]
@xarray.register_dataset_accessor("bacc")  # type: ignore[no-untyped-call]
class BaccAccessor:
    """``x.bacc`` of a DataArray or Dataset: `encode` and `map`.

    Parameters
    ----------
    source : xarray.DataArray or xarray.Dataset
    """

    def __init__(self, source: LabelledData) -> None:
        self._source = source

    def encode(
        self,
        *,
        dim: Hashable,
        k: int | None = None,
        n: int | None = None,
        code: str | Code | None = None,
    ) -> CodedLabelled:
        """Encode along a dimension; of a Dataset all variables that have it, under one code.

        Parameters
        ----------
        dim : hashable
        k, n, code
            As in `dask_bacc.encode`.

        Raises
        ------
        ValueError
            If there is no such dimension, or it does not have `k` equal blocks.
        TypeError
            If variables along it are no numbers.

        Examples
        --------
        >>> import xarray as xr
        >>> import dask_bacc.xarray
        >>> x = xr.DataArray(np.arange(12.0), dims="time", coords={"time": np.arange(12)})
        >>> x.bacc.encode(dim="time", k=4, n=6).map(lambda block: block**2).result().dims
        ('time',)
        """
        source = self._source
        if dim not in source.dims:
            dims = ", ".join(map(repr, source.dims))
            raise ValueError(f"no dimension {dim!r}; there are {dims or 'none'}")
        skeleton = Skeleton.of(source, dim)
        variables = skeleton.variables(source)
        for name, variable in variables.items():
            if variable.dtype.kind not in "biufc":
                raise TypeError(
                    f"variable {name!r} has {variable.dtype} along {dim!r}, and only numbers are "
                    "encoded; leave it aside with drop_vars"
                )
        try:
            coded = encode(*variables.values(), dim=dim, k=k, n=n, code=code)
        except ValueError as error:
            raise ValueError(f"along dimension {dim!r}: {error}") from None
        return CodedLabelled(coded, skeleton, source)

    def map(
        self,
        func: Callable[..., Any],
        *args: Any,
        dim: Hashable,
        k: int | None = None,
        n: int | None = None,
        code: str | Code | None = None,
        template: LabelledData | None = None,
        **options: Any,
    ) -> LabelledRun:
        """Run a function on every block along a dimension; `encode` and `CodedLabelled.map`."""
        coded = self.encode(dim=dim, k=k, n=n, code=code)
        return coded.map(func, *args, template=template, **options)


class CodedLabelled:
    """Coded chunks with the labels of what they are made of.

    Attributes
    ----------
    coded : CodedArray
        The chunks, without labels.
    """

    def __init__(self, coded: CodedArray[Any], skeleton: Skeleton, source: LabelledData) -> None:
        self.coded = coded
        self._skeleton = skeleton
        self._source = source

    def persist(self, client: Client | None = None) -> CodedLabelled:
        """The same with its chunks on workers."""
        # Of dask's, without types.
        coded: Any = self.coded
        with large_graphs():
            coded = coded.persist() if client is None else client.persist(coded)
        return CodedLabelled(coded, self._skeleton, self._source)

    def map(
        self,
        func: Callable[..., Any],
        *args: Any,
        template: LabelledData | None = None,
        **options: Any,
    ) -> LabelledRun:
        """Run a function on every chunk, and decode its answer for every block.

        Parameters
        ----------
        func : callable
            Gets a DataArray or a Dataset, as what was encoded: its dimensions, coordinates,
            attributes and variables, but for those coordinates that lie along the dimension that
            was cut: a mixture of blocks has none. Returns DataArrays, Datasets or plain arrays,
            also in tuples, lists and dicts.
        *args
            Further arguments of the function.
        template : xarray.DataArray or xarray.Dataset, optional
            What the answer is like: its dimensions, coordinates, attributes and names are taken.
        **options
            As in `CodedArray.map`.
        """
        labelled = Labelled(func, self._skeleton)
        run = self.coded.map(labelled, *args, **options)
        return LabelledRun(run, self._source, self._skeleton.dim, template)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} along {self._skeleton.dim!r}: {self.coded!r}>"

    def _repr_html_(self) -> str:
        return self.coded._repr_html_()


class LabelledRun:
    """A run whose answer has labels.

    Attributes
    ----------
    run : CodedRun
        The run itself, for all that is not here.
    """

    def __init__(
        self,
        run: CodedRun[Any],
        source: LabelledData,
        dim: Hashable,
        template: LabelledData | None,
    ) -> None:
        self.run = run
        self._source = source
        self._dim = dim
        self._template = template

    def result(self, timeout: float | None = None) -> Any:
        """The answer; as `CodedRun.result`, with labels.

        Coordinates along the dimension that was cut are those of the source, encodings for files
        those of variables of the same names.

        Raises
        ------
        ValueError
            If the answer is not like the template.
        """
        answer = relabelled(self.run.result(timeout), self._source)
        return answer if self._template is None else fitted(answer, self._template)

    def error(self) -> xarray.DataArray:
        """The estimated relative error of the answer along the dimension that was cut.

        Raises
        ------
        ValueError
            While it is not known, or where the decoder does not estimate it.
        """
        report = self.run.report
        if report.block_error is None:
            raise ValueError(
                "the error is not known; wait for the result, of a run that estimates"
            )
        size = self._source.sizes[self._dim]
        values = np.repeat(report.block_error, size // report.k)
        coords = {
            name: coord
            for name, coord in self._source.coords.items()
            if coord.dims == (self._dim,)
        }
        attrs = {"long_name": "estimated relative error", "units": "1"}
        return xarray.DataArray(
            values, dims=(self._dim,), coords=coords, name="error", attrs=attrs
        )

    @property
    def report(self) -> RunReport:
        """As `CodedRun.report`."""
        return self.run.report

    @property
    def status(self) -> str:
        """As `CodedRun.status`."""
        return self.run.status

    def cancel(self) -> None:
        """As `CodedRun.cancel`."""
        self.run.cancel()

    def __repr__(self) -> str:
        return repr(self.run)

    def _repr_html_(self) -> str:
        return self.run._repr_html_()
