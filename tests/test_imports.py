"""Every import points down the house, and no room has Dask that is to go without."""

from __future__ import annotations

import ast
import graphlib
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import dask_bacc

ROOT = Path(dask_bacc.__file__).parent

#: The rooms from the ground up; those of one floor know nothing of each other.
FLOORS = (
    ("coding",),
    ("records",),
    ("policy", "results"),
    ("display", "engine"),
    ("worker",),
    ("graphs",),
    ("runtime",),
    ("_config", "_lazy", "stacked"),
    ("collection",),
    ("asked", "run"),
    ("rounds",),
    ("array", "progressbar"),
    ("dims", "labelled"),
    ("api",),
    ("blocks", "planning"),
    ("params",),
    ("xarray",),
    ("__init__",),
    ("dashboard", "kubernetes", "learn"),
    ("demo",),
    ("cli", "commands"),
)
RANK = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
#: What a room may import of the package beside itself, where that is less than all below.
ONLY = {
    "records": {"coding"},
    "policy": {"coding", "records"},
    "results": {"coding", "records"},
    "engine": set[str](),
    "display": {"coding", "policy", "records"},
    "dashboard": {"display", "engine", "records"},
    "kubernetes": set[str](),
    "demo": {"__init__", "display", "learn"},
    "cli": {"__init__", "demo", "kubernetes", "planning", "runtime"},
}
NO_DASK = ("coding", "records", "policy", "results")
#: Beside the standard library, all that `coding` may use.
OF_CODING = {"numpy", "scipy", "threadpoolctl"}

MODULES = {
    ".".join(("dask_bacc", *path.relative_to(ROOT).with_suffix("").parts)): path
    for path in sorted(ROOT.rglob("*.py"))
}


def imports(path: Path) -> set[str]:
    """Modules that are imported anywhere: at the top, in functions, for type checkers."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, path
            assert node.module is not None
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            modules = {n for n in whole if n in MODULES or f"{n}.__init__" in MODULES}
            found |= modules if modules == whole else {node.module, *modules}
    return found


IMPORTS = {name: imports(path) for name, path in MODULES.items()}


def ours(name: str) -> set[str]:
    """The package's own modules among a module's imports."""
    return {
        f"{found}.__init__" if f"{found}.__init__" in MODULES else found
        for found in IMPORTS[name]
        if found.split(".")[0] == "dask_bacc"
    }


def room_of(name: str) -> str:
    return name.split(".")[1]


def test_every_room_has_its_floor():
    assert {room_of(name) for name in MODULES} == set(RANK)


@pytest.mark.parametrize("name", MODULES)
def test_imports_point_down(name):
    room = room_of(name)
    for found in ours(name):
        other = room_of(found)
        if other == room:
            continue
        assert RANK[other] < RANK[room], f"{name} imports {found}"
        assert other in ONLY.get(room, RANK), f"{name} imports {found}"


def test_there_are_no_circles():
    # Raises if there is one.
    tuple(graphlib.TopologicalSorter({name: ours(name) for name in MODULES}).static_order())


@pytest.mark.parametrize("folder", sorted({name.rpartition(".")[0] for name in MODULES}))
def test_folders_are_not_deep(folder):
    """From the top of a folder to its ground it is at most eight levels."""
    inside = {
        name: {found for found in ours(name) if found.rpartition(".")[0] == folder}
        for name in MODULES
        if name.rpartition(".")[0] == folder
    }
    depth: dict[str, int] = {}
    for name in graphlib.TopologicalSorter(inside).static_order():
        depth[name] = 1 + max((depth[found] for found in inside[name]), default=0)
    assert max(depth.values()) <= 8, depth


@pytest.mark.parametrize("name", [name for name in MODULES if room_of(name) in NO_DASK])
def test_the_core_goes_without_dask(name):
    libraries = {found.split(".")[0] for found in IMPORTS[name]}
    assert libraries.isdisjoint({"dask", "distributed"})
    if room_of(name) == "coding":
        assert libraries <= {"dask_bacc", *OF_CODING, *sys.stdlib_module_names}


@pytest.mark.parametrize("name", MODULES)
def test_private_parts_of_the_engine_are_in_one_room(name):
    """Of dask and distributed, all but `engine` uses public modules alone."""
    if room_of(name) != "engine":
        for found in IMPORTS[name]:
            library, *parts = found.split(".")
            assert library not in ("dask", "distributed") or not any(
                part.startswith("_") for part in parts
            ), f"{name} imports {found}"


@pytest.mark.parametrize(
    ("module", "without"),
    [
        ("dask_bacc", ("numpy", "distributed", "dask.array", "dask_bacc.coding")),
        ("dask_bacc.commands", ("numpy", "distributed", "dask.array", "dask_bacc.coding")),
        ("dask_bacc.worker.task", ("dask.array", "dask_bacc.runtime")),
        ("dask_bacc.worker.blocks", ("dask.array", "dask_bacc.runtime")),
    ],
)
def test_schedulers_and_workers_import_what_they_need(module, without):
    """What clients need as well would take every new worker a second."""
    script = f"import sys, {module}; print([name for name in {without!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stdout.strip() == b"[]"


@pytest.mark.parametrize("name", ["dask_bacc"])
def test_what_is_imported_late_is_all_there(name):
    package = importlib.import_module(name)
    for public in package.__all__:
        assert getattr(package, public) is not None
    assert set(package.__all__) <= set(dir(package))
    with pytest.raises(AttributeError, match=f"'{name}' has no attribute 'nothing'"):
        package.nothing  # noqa: B018


def test_every_module_is_short():
    assert not [n for n, path in MODULES.items() if len(path.read_text().splitlines()) > 300]


def test_every_function_is_short():
    """At most 60 lines, the docstring not counted."""
    long = []
    for name, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                first = node.body[0]
                documented = ast.get_docstring(node) is not None
                begin = first.end_lineno + 1 if documented else node.lineno
                assert node.end_lineno is not None
                if node.end_lineno - begin + 1 > 60:
                    long.append(f"{name}.{node.name}: {node.end_lineno - begin + 1}")
    assert not long
