"""An example in JupyterLab in a browser: run there, saved, and opened again without trust."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Page

from benchmarks.processes.cluster import until

EXAMPLE = Path(__file__).parents[2] / "examples" / "xarray.ipynb"
THEMES = "@jupyterlab/apputils-extension/themes.jupyterlab-settings"
#: Seconds for the example's slowest cell.
LONG = 120_000


class Lab:
    """A JupyterLab with its notebooks in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = folder / "settings"
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        options = [f"--port={self.port}", "--ServerApp.token=", "--no-browser", "--allow-root"]
        with (folder / "lab.log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "jupyterlab", *options, f"--notebook-dir={folder}"],
                env={**os.environ, "JUPYTERLAB_SETTINGS_DIR": str(self.settings)},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until(self._answers, 60, "JupyterLab did not start")

    def theme(self, name: str) -> None:
        """Of pages that are opened from now on."""
        path = self.settings / THEMES
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'{{"theme": "JupyterLab {name}"}}')

    def open(self, page: Page, name: str) -> None:
        """Open a notebook, and wait until it is shown."""
        page.goto(f"http://127.0.0.1:{self.port}/lab/tree/{name}?reset")
        page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=LONG)

    def close(self) -> None:
        """End it with its kernels."""
        os.killpg(self._process.pid, signal.SIGTERM)
        self._process.wait(timeout=30)

    def _answers(self) -> bool:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api", timeout=1)
        except OSError:
            return False
        return True


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    found = Lab(tmp_path_factory.mktemp("lab"))
    yield found
    found.close()


@pytest.fixture(scope="module")
def saved(lab: Lab, page: Page) -> Path:
    """The example, run from its menu and saved."""
    path = lab.folder / "example.ipynb"
    shutil.copy(EXAMPLE, path)
    lab.theme("Light")
    lab.open(page, path.name)
    page.wait_for_selector('.jp-Notebook-ExecutionIndicator[data-status="idle"]', timeout=LONG)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    prompt = page.locator(".jp-CodeCell .jp-InputPrompt").last
    until(lambda: prompt.inner_text().strip("[]:*").isdigit(), LONG / 1e3, "cells did not run")
    assert page.locator(".jp-OutputArea-output[data-mime-type*=error]").count() == 0
    page.keyboard.press("Control+s")
    until(lambda: outputs(path), 30, "the notebook is not saved")
    return path


def outputs(path: Path) -> int:
    """Outputs of a notebook, of which the last cell but one has the last."""
    cells = [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
    return len(cells[-2].outputs)


def shown(page: Page) -> str:
    """What the outputs say."""
    return "\n".join(page.locator(".jp-OutputArea-output").all_inner_texts())


def pictures(page: Page) -> list[bool]:
    """Whether each image in the outputs is drawn."""
    images = page.locator(".jp-OutputArea-output img")
    return [
        images.nth(i).evaluate("image => image.naturalWidth > 0") for i in range(images.count())
    ]


def test_the_example_runs_and_says_how_it_went(saved, page):
    said = shown(page)
    assert "8 blocks on the left, 12 chunks on the right" in said
    assert "chunks returned (k=8)" in said
    assert "estimated" in said
    # Of the coded array, and of matplotlib.
    until(lambda: pictures(page) == [True, True], LONG / 1e3, "pictures are missing")


@pytest.mark.parametrize(("theme", "dark"), [("Light", False), ("Dark", True)])
def test_without_trust_all_is_there_in_both_themes(lab, saved, page, theme, dark):
    notebook = nbformat.read(saved, as_version=4)
    # What is signed is what was run here; this is another notebook.
    notebook.cells[0].source += f"\n\nOpened in {theme}."
    copy = saved.with_name(f"{theme}.ipynb")
    nbformat.write(notebook, copy)
    lab.theme(theme)
    lab.open(page, copy.name)
    until(lambda: pictures(page) == [True, True], LONG / 1e3, "pictures are missing")
    assert page.locator("body[data-jp-theme-light=false]").count() == int(dark)
    said = shown(page)
    assert "chunks returned (k=8)" in said
    assert "8 are blocks" in said
    cell = page.locator('.jp-OutputArea-output div[title^="chunk 0"]').first
    fill, text = (
        cell.evaluate(f"node => getComputedStyle(node).{what}")
        for what in ("backgroundColor", "color")
    )
    assert fill != text
    if os.environ.get("BACC_SCREENSHOTS"):
        page.screenshot(path=Path(os.environ["BACC_SCREENSHOTS"]) / f"lab-{theme.lower()}.png")
