"""Coded computing for Dask: map a function over blocks and never wait for the slowest worker."""

from dask_bacc import coding
from dask_bacc._config import register_defaults
from dask_bacc.api import encode
from dask_bacc.cluster.answers import Partial
from dask_bacc.cluster.array import CodedArray
from dask_bacc.cluster.errors import DecodeError, ResultError
from dask_bacc.cluster.events import RunEvent
from dask_bacc.cluster.report import ChunkRecord, RunReport
from dask_bacc.cluster.run import CodedRun
from dask_bacc.cluster.task import should_stop
from dask_bacc.display.progress import progress

register_defaults()

__all__ = [
    "ChunkRecord",
    "CodedArray",
    "CodedRun",
    "DecodeError",
    "Partial",
    "ResultError",
    "RunEvent",
    "RunReport",
    "coding",
    "encode",
    "progress",
    "should_stop",
]
