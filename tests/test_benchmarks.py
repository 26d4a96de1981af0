"""Every benchmark runs at its smallest size; its figures are of no account here."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from benchmarks.processes.forked import Forked
from tests.shared import QUICK

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "benchmarks"

#: Of every benchmark the smallest size, and above it what that leaves out.
SMALLEST = {
    # Seven of eight settings, two of three kinds of data, most of the training, all fits but one.
    "accuracy": "--quick --draws 1 --figure figure.png",
    # Rounds enough for a quantile.
    "answering": "--rounds 4",
    # Blocks of more than 12 rows.
    "busy": "--rounds 1 --rows 12",
    # All that this one draw has not: test_chaos.py has 15 others.
    "chaos": "--draws 1",
    # Results above 100 kB.
    "display": "--rounds 1 --counts 12 101",
    "decoding": "--megabytes 0.1 --rounds 1",
    # Nothing.
    "events": "",
    # More than 8 blocks.
    "graphs": "--k 8 --n 10",
    # All sizes of groups but one, workers that lose all their chunks.
    "grouping": "--draws 1 --sizes 16 --lost random",
    # More than one number.
    "leaves": "--counts 1 --deadline 0.5",
    # More than 16 blocks, blocks above 100 kB, the fit of growth with their bytes.
    "kubernetes": "--rounds 1 --seconds 0.5",
    "movement": "--k 8 --counts 8 16 --megabytes 0.1 --rounds 1",
    # Compute time, and all pairs but one.
    "overhead": "--pairs 1 --seconds 0",
    # Nothing.
    "repetition": "",
    # All but the costs of 64 blocks: growth, groups, the size of the answer.
    "scaling": "--only blocks --rounds 1 --counts 64 --figure figure.png",
    # Blocks above 8 MB.
    "sketching": "--sizes 100000",
    # That anything is spilled: the array is a fiftieth of the workers' memory.
    "spilling": "--times 0.02",
    # Nothing.
    "stability": "--figure figure.png",
    # Workers in trouble, and what is long.
    "front": "--only blocks --undisturbed --pairs 1 --seconds 0.05",
    # Clusters of other sizes, and functions that are known less of.
    "pays": "--workers 8 --functions linear",
    # Four jobs of five, rounds enough to learn from, and workers that are slow.
    "rounds": "--only decoders first cost --rounds 4 --jobs power_iteration",
    # Most functions and laws.
    "planning": "--rounds 1 --functions linear --laws lognormal",
    # Everything that goes wrong: what test_chaos.py and the tests of faults have.
    "tail": "--only nothing-wrong --rounds 1",
    # All that is no call of a policy: most policies, laws and blocks, and the accuracy.
    "training": "--policies rounds --laws none --rows 600 --batches 1 --epochs 4 --aim 0",
    # More than 1 MB.
    "throughput": "--megabytes 1 --rounds 1",
    # Runs that lose nothing, or the ends of a line.
    "trust": "--draws 5",
}
#: They read the largest memory of processes.
OF_MEMORY = {"movement", "scaling", "spilling"}


def benchmarks() -> list[str]:
    """Names of all modules and packages that can be run."""
    modules = [path.stem for path in FOLDER.glob("*.py") if "__main__" in path.read_text()]
    return sorted([*modules, *(path.parent.name for path in FOLDER.glob("*/__main__.py"))])


def images() -> dict[str, int]:
    """When the figures of the documentation were drawn."""
    return {path.name: path.stat().st_mtime_ns for path in (ROOT / "docs/images").iterdir()}


def test_every_benchmark_has_a_smallest_size():
    assert benchmarks() == sorted(SMALLEST)


@pytest.fixture(scope="module")
def started(tmp_path_factory) -> Iterator[dict[str, Future]]:
    """All of them, two at a time: each waits for processes to start for most of its time."""
    folders = {name: tmp_path_factory.mktemp(name) for name in SMALLEST}
    with ThreadPoolExecutor(2) as pool:
        yield {name: pool.submit(start, name, folder) for name, folder in folders.items()}


def start(name: str, folder: Path) -> tuple[int, Path]:
    """Run one in a folder, as ``python -m`` does; how it ended."""
    environment = {**os.environ, **QUICK, "PYTHONPATH": str(ROOT)}
    arguments = SMALLEST[name].split()
    process = Forked(f"benchmarks.{name}", arguments, environment, folder / "log", folder)
    try:
        return process.wait(500), folder
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise


@pytest.mark.parametrize("name", benchmarks())
def test_a_benchmark_runs(name, started):
    if name in OF_MEMORY and not os.access("/proc/self/clear_refs", os.W_OK):
        pytest.skip("only Linux says what memory a process has used at most")
    before = images()
    code, folder = started[name].result()
    said = (folder / "log").read_text()
    assert code == 0, said
    assert said
    assert images() == before
    assert (folder / "figure.png").exists() == ("--figure" in SMALLEST[name])
