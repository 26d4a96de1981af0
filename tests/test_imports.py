"""The direction of imports: display, xarray -> cluster -> coding, and no Dask in coding."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

import dask_bacc

ROOT = Path(dask_bacc.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))


def imported(path: Path, *, module_level_only: bool = False) -> set[str]:
    tree = ast.parse(path.read_text())
    names = set()
    for node in tree.body if module_level_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            names.add(node.module)
    return names


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_one_way(path):
    room = path.relative_to(ROOT).parts[0]
    if room == "coding":
        allowed = {"numpy", "scipy", "threadpoolctl", "dask_bacc"} | set(sys.stdlib_module_names)
        assert {name.split(".")[0] for name in imported(path)} <= allowed
        assert all(
            name.startswith("dask_bacc.coding")
            for name in imported(path)
            if name.startswith("dask_bacc")
        )
    if room == "cluster":
        upward = ("dask_bacc.display", "dask_bacc.xarray", "dask_bacc.api", "dask_bacc.cli")
        assert not [n for n in imported(path, module_level_only=True) if n.startswith(upward)]


def test_every_module_is_short():
    long = [p for p in MODULES if len(p.read_text().splitlines()) > 300]
    assert not long
