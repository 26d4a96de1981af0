"""A real browser; Debian's chromium."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, sync_playwright


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    if (chromium := shutil.which("chromium")) is None:
        pytest.skip("there is no chromium")
    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=chromium, args=options)
        # So high that no cell has to be scrolled to before it is drawn.
        yield browser.new_page(viewport={"width": 1100, "height": 8000})
        browser.close()
