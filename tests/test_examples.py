"""The notebooks run from top to bottom, where there is no browser to run them in JupyterLab."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.ipynb"))


@pytest.mark.skipif(shutil.which("chromium") is not None, reason="tests/browser runs them")
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_notebook(path, tmp_path):
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(notebook, timeout=200, resources={"metadata": {"path": str(tmp_path)}})
    # The kernel of the environment that runs the tests, whatever kernels are installed.
    client.create_kernel_manager().kernel_spec.argv[0] = sys.executable
    client.execute()
    assert any("assert" in cell.source for cell in notebook.cells)
