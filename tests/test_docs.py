"""The examples of the README, the tutorial and the how-to run as they stand, page by page."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

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


def pages() -> dict[Path, str]:
    """All pages that link to others, in Markdown."""
    found = {path: path.read_text() for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]}
    found |= {
        path: path.read_text() for path in ROOT.glob("*/*/README.md") if "." not in path.parts[-3]
    }
    for path in ROOT.glob("examples/*.ipynb"):
        cells = json.loads(path.read_text())["cells"]
        texts = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
        found[path] = "\n".join(texts)
    return found


def anchors(text: str) -> set[str]:
    """Of the headings, as GitHub and MyST name them."""
    heads = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def test_links_lead_somewhere():
    """Those within the project; others are to be complete."""
    wrong, seen = [], 0
    for page, text in pages().items():
        prose = re.sub(r"```.*?```|`[^`]*`", "", text, flags=re.DOTALL)
        for target in re.findall(r"\]\(\s*([^)\s]+)\s*\)", prose):
            seen += 1
            address = urlsplit(target)
            if address.scheme or address.netloc:
                if address.scheme != "https" or not address.netloc:
                    wrong.append(f"{page.name}: {target}")
                continue
            there = (page.parent / address.path).resolve() if address.path else page
            inside = there.exists() and there.is_relative_to(ROOT)
            known = anchors(there.read_text()) if inside and there.suffix == ".md" else set()
            if not inside or (address.fragment and address.fragment not in known):
                wrong.append(f"{page.name}: {target}")
    assert seen > 30
    assert not wrong


def test_the_readme_names_the_commands():
    readme = (ROOT / "README.md").read_text()
    assert len([line for line in readme.splitlines() if "'.[test]'" in line]) == 1
    assert len([line for line in readme.splitlines() if "'.[demo]'" in line]) == 1
