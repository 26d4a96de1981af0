"""Types of answers, as an editor or a type checker sees them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = """
from typing import assert_type, Any
import numpy as np
import xarray as xr
import dask_bacc
from dask_bacc import CodedRun

Array = np.ndarray[Any, Any]

def smooth(block: Array) -> Array:
    return np.tanh(block)

def both(block: Array) -> tuple[Array, float]:
    return block, 1.0

def norm(block: Array) -> float:
    return 1.0

x = np.ones((4, 3))
coded = dask_bacc.encode(x, k=2, n=3)
assert_type(coded.map(smooth), CodedRun[Array])
assert_type(coded.map(smooth, combine="sum", rtol=1e-2).result(), Array)
assert_type(coded.map(norm, combine="stack").result(), Array)
assert_type(coded.map(both, combine="stack").result(), tuple[Array, float])
assert_type(dask_bacc.encode(x, k=2).map(both, combine="list").result(), list[tuple[Array, float]])
assert_type(dask_bacc.encode(x, x, k=2).map(smooth).result(), Array)

labelled = dask_bacc.encode(xr.DataArray(x), k=2)
assert_type(labelled.map(smooth).result(), xr.DataArray)
assert_type(labelled.map(both, combine="list").result(), list[tuple[Array, float]])

assert_type(dask_bacc.map(norm, [x, x]).result(), list[float])

async def later() -> Array:
    return await coded.map(smooth)
"""


def test_types_of_answers_are_known(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", str(program)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.stdout == ""
    assert checked.returncode == 0, checked.stderr
