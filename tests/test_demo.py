"""The main job, as a person would run it: the command, its table and its picture."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.shared import QUICK

DASK = Path(sysconfig.get_path("scripts")) / "dask"


def test_the_demo_answers_where_map_blocks_does_not(tmp_path):
    picture = tmp_path / "picture.png"
    done = subprocess.run(
        [DASK, "bacc", "demo", "--output", picture, "--patience", "7"],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
        env={"COLUMNS": "120", "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    rows = [
        [cell.strip() for cell in line.strip("│ ").split("│")]
        for line in done.stdout.splitlines()
        if line.startswith("│")
    ]
    cells = {row[1]: row[2:] for row in rows}
    assert list(cells) == ["linear", "smooth", "rough"]
    for seconds, error, estimate, plain in cells.values():
        assert seconds.endswith(" s")
        assert not seconds.startswith("none")
        assert plain == "7 of 8 blocks in 7 s"
        assert error == "exact" or shares(error) < min(3 * shares(estimate), 0.01)
    assert cells["linear"][1] == cells["rough"][1] == "exact"
    with Image.open(picture) as image:
        assert image.width > 600
        assert len(image.convert("RGB").getcolors(10**6)) > 20


def shares(text):
    """An error in per cent as a share."""
    return float(text.removeprefix("below ").removesuffix("%")) / 100


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["simulate", "--times", "exponential:1:1", "--rounds", "20"], "copies"),
        (["simulate", "--times", "weibull:1:1"], "unknown times 'weibull:1:1'"),
        (["simulate", "--times", "pareto:1"], "pareto needs two numbers"),
    ],
)
def test_runs_are_simulated(arguments, said):
    done = subprocess.run(
        [DASK, "bacc", *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert said in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_what_is_installed_and_configured_is_told(processes):
    done = subprocess.run(
        [DASK, "bacc", "info", "--scheduler", processes.scheduler_address],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    for said in ("distributed ", "rtol: 0.001", "cluster tcp://", ": 1 thread"):
        assert said in done.stdout
    assert done.stdout.count(": 1 thread") == 4


def test_plans_and_measurements_from_the_command_line(tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(80, 5)))
    (tmp_path / "work.py").write_text("import numpy as np\nf = np.tanh\n")
    for arguments in (
        ["plan", "work:f", "x.npy", "--times", "pareto:1.5:0.5", "--output", "plan.png"],
        ["bench", "--rounds", "1", "--times", "exponential:0.01:0.01"],
    ):
        done = subprocess.run(
            [DASK, "bacc", *arguments],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            cwd=tmp_path,
        )
        assert done.returncode == 0, done.stderr
        assert "copies" in done.stdout
    assert (tmp_path / "plan.png").stat().st_size > 1000


def test_without_its_packages_the_demo_says_what_to_install():
    script = (
        "import sys; sys.modules['mlxtend'] = None; sys.modules['mlxtend.data'] = None\n"
        "from dask.cli import run_cli; sys.argv = ['dask', 'bacc', 'demo']\n"
        "run_cli()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "pip install 'dask-bacc[demo]'" in done.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["demo", "--help"], ["plan", "--help"]])
def test_help(arguments):
    done = subprocess.run(
        [DASK, "bacc", *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0
    assert (arguments[0] if len(arguments) > 1 else "demo") in done.stdout


def test_a_network_learns_while_a_worker_is_stopped(tmp_path):
    """By rounds that remember; how the others do is told, too."""
    picture = tmp_path / "picture.png"
    done = subprocess.run(
        [DASK, "bacc", "demo", "--job", "train", "--output", picture, "--patience", "4"],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
        env={**QUICK, "COLUMNS": "120", "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    said = dict(line.split(": ", 1) for line in done.stdout.splitlines() if ": " in line)
    assert shares(said["coded rounds that remember"].split()[0]) > 0.5
    assert said["wait for all"]
    with Image.open(picture) as image:
        assert image.width > 600
