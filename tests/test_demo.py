"""The main job, as a person would run it: the command, its table and its picture."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from PIL import Image

DASK = Path(sysconfig.get_path("scripts")) / "dask"


def test_the_demo_answers_where_map_blocks_does_not(tmp_path):
    picture = tmp_path / "picture.png"
    done = subprocess.run(
        [DASK, "bacc", "demo", "--output", picture, "--patience", "9"],
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
    cells = {row[0] + (" stopped" if i == 2 else ""): row[1:] for i, row in enumerate(rows)}
    assert cells["map_blocks, undisturbed"][0] == "8 of 8"
    assert cells["map_blocks, undisturbed"][2] == "exact"
    returned, seconds, scores, moments, accuracy = cells["dask_bacc"]
    assert returned.endswith("of 16")
    assert int(returned.split()[0]) < 16
    assert not seconds.startswith("none")
    assert float(scores.removesuffix("%")) < 60
    assert float(moments.removesuffix("%")) < 10
    assert float(accuracy.removesuffix("%")) > 70
    plain = cells["map_blocks stopped"]
    assert plain[:2] == ["6 of 8", "none in 9 s"]
    with Image.open(picture) as image:
        assert image.width > 600
        assert len(image.convert("RGB").getcolors(10**6)) > 20


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
    assert "demo" in done.stdout
