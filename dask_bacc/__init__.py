"""Coded computing for Dask: map a function over blocks and never wait for the slowest worker."""

import sys as _sys
from importlib import import_module as _import_module
from importlib.metadata import version as _version
from typing import TYPE_CHECKING

from dask_bacc import _config, _lazy

if TYPE_CHECKING:
    from dask_bacc import coding
    from dask_bacc.api import encode
    from dask_bacc.array import CodedArray
    from dask_bacc.blocks import LazyBlocks, map_blocks, map_overlap
    from dask_bacc.params import map  # noqa: A004
    from dask_bacc.planning.plan import Plan, plan
    from dask_bacc.progressbar import progress
    from dask_bacc.records.chunk import Attempt, ChunkRecord
    from dask_bacc.records.errors import CombineError, DecodeError, ResultError
    from dask_bacc.records.events import RunEvent
    from dask_bacc.records.report import Partial, RunReport
    from dask_bacc.rounds import CodedRounds
    from dask_bacc.run import CodedRun
    from dask_bacc.worker.task import should_stop

_config.register_defaults()

if "xarray" in _sys.modules:
    # Whoever has it expects its accessors; others need not wait for its import.
    _import_module("dask_bacc.xarray")

__version__ = _version("dask-bacc")

__all__ = [
    "Attempt",
    "ChunkRecord",
    "CodedArray",
    "CodedRounds",
    "CodedRun",
    "CombineError",
    "DecodeError",
    "LazyBlocks",
    "Partial",
    "Plan",
    "ResultError",
    "RunEvent",
    "RunReport",
    "__version__",
    "coding",
    "encode",
    "map",
    "map_blocks",
    "map_overlap",
    "plan",
    "progress",
    "should_stop",
]

#: Workers need few of these modules, schedulers and ``dask`` on the command line none.
__getattr__, __dir__ = _lazy.attached(
    __name__,
    {
        "": ("coding",),
        "api": ("encode",),
        "array": ("CodedArray",),
        "blocks": ("LazyBlocks", "map_blocks", "map_overlap"),
        "params": ("map",),
        "planning.plan": ("Plan", "plan"),
        "progressbar": ("progress",),
        "records.chunk": ("Attempt", "ChunkRecord"),
        "records.errors": ("CombineError", "DecodeError", "ResultError"),
        "records.events": ("RunEvent",),
        "records.report": ("Partial", "RunReport"),
        "rounds": ("CodedRounds",),
        "run": ("CodedRun",),
        "worker.task": ("should_stop",),
    },
)
