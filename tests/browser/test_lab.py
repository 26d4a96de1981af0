"""The examples in JupyterLab in a browser: run there, saved, and opened again without trust.

With ``BACC_OUTPUTS=examples`` what is saved is kept as the examples' outputs, and with
``BACC_SCREENSHOTS=docs/images`` pictures of the pages are.
"""

from __future__ import annotations

import contextlib
import json
import os
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
from tests.shared import QUICK

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.ipynb"))
#: Seconds for the example's slowest cell.
LONG = 120_000
#: Seconds between two looks at a page, which take processors from what is run in it.
ASKED = 0.3


class Lab:
    """A JupyterLab with its notebooks in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self._api = f"http://127.0.0.1:{self.port}/api"
        options = [f"--port={self.port}", "--ServerApp.token=", "--no-browser", "--allow-root"]
        # Kernels are ended from outside the page, and themes changed.
        options += ["--ServerApp.disable_check_xsrf=True", "--LabApp.expose_app_in_browser=True"]
        with (folder / "lab.log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "jupyterlab", *options, f"--notebook-dir={folder}"],
                env={**os.environ, **QUICK, "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings")},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until(self._answers, LONG / 1e3, "JupyterLab did not start")

    def open(self, page: Page, name: str) -> None:
        """Open a notebook, and wait until it is shown."""
        page.goto(f"http://127.0.0.1:{self.port}/lab/tree/{name}?reset")
        page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=LONG)

    def stop_kernels(self) -> None:
        """End what was run, as closing the notebooks would."""
        with urllib.request.urlopen(f"{self._api}/kernels") as answer:
            kernels = json.load(answer)
        for kernel in kernels:
            address = f"{self._api}/kernels/{kernel['id']}"
            urllib.request.urlopen(urllib.request.Request(address, method="DELETE"))

    def close(self) -> None:
        """End it with its kernels."""
        os.killpg(self._process.pid, signal.SIGTERM)
        self._process.wait(timeout=30)

    def _answers(self) -> bool:
        try:
            urllib.request.urlopen(self._api, timeout=1)
        except OSError:
            return False
        return True


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    found = Lab(tmp_path_factory.mktemp("lab"))
    yield found
    found.close()


@pytest.fixture(scope="module", params=EXAMPLES, ids=lambda path: path.stem)
def saved(request: pytest.FixtureRequest, lab: Lab, page: Page) -> Path:
    """An example, run from the menu and saved."""
    lab.stop_kernels()
    path = lab.folder / request.param.name
    notebook = nbformat.read(request.param, as_version=4)
    for cell in code_cells(notebook):
        cell.outputs, cell.execution_count = [], None
    nbformat.write(notebook, path)
    lab.open(page, path.name)
    # Idle is also a notebook whose kernel is still to be started, and running it opens a dialog.
    page.wait_for_selector('.jp-Toolbar-kernelName:has-text("Python")', timeout=LONG)
    page.wait_for_selector('.jp-Notebook-ExecutionIndicator[data-status="idle"]', timeout=LONG)
    prompts = page.locator(".jp-CodeCell .jp-InputPrompt").all_inner_texts
    until(lambda: begins(page), LONG / 1e3, "no cell runs")
    until(lambda: is_number(prompts()), LONG / 1e3, lambda: str(prompts()), ASKED)
    assert page.locator(".jp-OutputArea-output[data-mime-type*=error]").count() == 0, shown(page)
    page.keyboard.press("Control+s")
    kept = lab.folder / "saved" / path.name
    kept.parent.mkdir(exist_ok=True)
    until(lambda: is_kept(path, kept), 120, "it is not saved", ASKED)
    if folder := os.environ.get("BACC_OUTPUTS"):
        for cell, done in zip(code_cells(notebook), cells_of(kept), strict=True):
            cell.outputs, cell.execution_count = done.outputs, done.execution_count
        nbformat.write(notebook, Path(folder) / path.name)
    return kept


def is_number(prompts: list[str]) -> bool:
    """Whether the last cell has its number; while the page is drawn anew there are none."""
    return bool(prompts) and prompts[-1].strip("[]:*").isdigit()


def begins(page: Page) -> bool:
    """Run all cells from the menu; False if it was not ready yet."""
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    with contextlib.suppress(TimeoutError):
        first = page.locator(".jp-CodeCell .jp-InputPrompt").first
        until(lambda: first.inner_text().strip() != "[ ]:", 5, "it does not run")
        return True
    return False


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def cells_of(path: Path) -> list[nbformat.NotebookNode]:
    return code_cells(nbformat.read(path, as_version=4))


def is_kept(path: Path, kept: Path) -> bool:
    """Copy what is saved, once all cells have been run in it; it may be saved again any time."""
    try:
        notebook = nbformat.read(path, as_version=4)
    except nbformat.reader.NotJSONError:  # It is being written.
        return False
    if not all(cell.execution_count for cell in code_cells(notebook)):
        return False
    nbformat.write(notebook, kept)
    return True


def kinds(cell: nbformat.NotebookNode) -> list[str]:
    """What kinds of output a cell has, apart from warnings."""
    found = {kind for output in cell.outputs for kind in output.get("data", {})}
    return sorted(found | {output.name for output in cell.outputs if "name" in output})


def shown(page: Page) -> str:
    """What the outputs say."""
    return "\n".join(page.locator(".jp-OutputArea-output").all_inner_texts())


def are_drawn(page: Page, path: Path) -> bool:
    """Whether all pictures of a saved notebook are on the page."""
    outputs = [output.get("data", {}) for cell in cells_of(path) for output in cell.outputs]
    expected = sum("image/png" in data for data in outputs)
    expected += sum(data.get("text/html", "").count("<img ") for data in outputs)
    assert expected
    images = page.locator(".jp-OutputArea-output img")
    drawn = [
        images.nth(i).evaluate("image => image.naturalWidth > 0") for i in range(images.count())
    ]
    return drawn == [True] * expected


def test_an_example_runs_and_says_what_its_saved_outputs_say(saved, page):
    until(lambda: are_drawn(page, saved), LONG / 1e3, "pictures are missing", ASKED)
    done, known = cells_of(saved), cells_of(ROOT / "examples" / saved.name)
    assert any("assert" in cell.source for cell in known)
    assert list(map(kinds, done)) == list(map(kinds, known)), shown(page)
    text = nbformat.writes(nbformat.read(ROOT / "examples" / saved.name, as_version=4))
    for place in (sys.prefix, str(ROOT), "site-packages"):
        assert place not in text


@pytest.fixture(scope="module")
def untrusted(lab: Lab, saved: Path, page: Page) -> Path:
    """What was saved, opened as by somebody else."""
    notebook = nbformat.read(saved, as_version=4)
    # What is signed is what was run here; this is another notebook.
    notebook.cells[0].source += "\n\nOpened again."
    copy = lab.folder / f"{saved.stem}-again.ipynb"
    nbformat.write(notebook, copy)
    lab.open(page, copy.name)
    return saved


def set_theme(page: Page, name: str, light: str) -> None:
    """Change it in the page."""
    change = "name => jupyterapp.commands.execute('apputils:change-theme', {theme: name})"
    page.evaluate(change, f"JupyterLab {name}")
    body = f"body[data-jp-theme-light={light}]"
    page.wait_for_selector(body, state="attached", timeout=LONG)


@pytest.mark.parametrize(("theme", "light"), [("Light", "true"), ("Dark", "false")])
def test_without_trust_all_is_there_in_both_themes(untrusted, page, theme, light):
    set_theme(page, theme, light)
    until(lambda: are_drawn(page, untrusted), LONG / 1e3, "pictures are missing", ASKED)
    # Cells of the grids of runs are drawn with a colour of their own, and their text with another.
    cells = page.locator('.jp-OutputArea-output div[title^="chunk 0"]')
    for cell in cells.all():
        fill, text = (
            cell.evaluate(f"node => getComputedStyle(node).{what}")
            for what in ("backgroundColor", "color")
        )
        assert fill != text
    if folder := os.environ.get("BACC_SCREENSHOTS"):
        name = f"{untrusted.stem}-{theme.lower()}"
        page.locator(".jp-Notebook").screenshot(path=Path(folder) / f"{name}.png")
        runs = page.locator(".jp-OutputArea-output", has_text="CodedRun")
        for run in runs.all()[:1]:
            run.screenshot(path=Path(folder) / f"{name}-run.png")
