"""The examples of the README, the tutorial and the how-to run as they stand, page by page."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def code_blocks(text: str) -> str:
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    source = "\n".join(block for block in blocks if not block.startswith((">>>", "# needs")))
    checks = re.findall(r"^>>> (?!print)(.*)\nTrue$", text, flags=re.MULTILINE)
    return "\n".join([source, *(f"assert {check}" for check in checks)])


@pytest.mark.parametrize("page", ["README.md", "docs/tutorial.md", "docs/how-to.md"])
def test_the_code_of_the_page_runs(page, tmp_path):
    code = code_blocks((ROOT / page).read_text())
    assert "dask_bacc.encode" in code
    indented = "\n".join(f"    {line}" for line in code.splitlines())
    # A file, since worker processes import the main module.
    script = tmp_path / "page.py"
    script.write_text(f"if __name__ == '__main__':\n{indented}\n    print(run.report)\n")
    done = subprocess.run(
        [sys.executable, script],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "chunks returned" in done.stdout


def test_the_readme_names_the_commands():
    readme = (ROOT / "README.md").read_text()
    assert len([line for line in readme.splitlines() if "'.[test]'" in line]) == 1
    assert len([line for line in readme.splitlines() if "'.[demo]'" in line]) == 1
