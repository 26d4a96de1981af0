"""Coded computing for Dask: map a function over blocks and never wait for the slowest worker."""

import sys as _sys
from importlib import import_module as _import_module
from importlib.metadata import version as _version
from typing import TYPE_CHECKING
from typing import Any as _Any

from dask_bacc import _config

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

#: Where they are. Workers need few of these modules, schedulers and ``dask`` on the command line
#: none, so that they are imported when somebody asks for what is there.
_MODULES = {
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
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> _Any:
    if name == "coding":
        return _import_module("dask_bacc.coding")
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'dask_bacc' has no attribute {name!r}")
    value = getattr(_import_module(f"dask_bacc.{_MODULE_OF[name]}"), name)
    # Who asks again does not come here.
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
