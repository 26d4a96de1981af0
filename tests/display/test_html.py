from __future__ import annotations

import base64
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import get_args

import numpy as np
import pytest

import dask_bacc
from dask_bacc import coding
from dask_bacc.display.grid import grid_image
from dask_bacc.display.html import run_html
from dask_bacc.display.palette import COLOURS
from dask_bacc.records.chunk import ChunkRecord, ChunkState
from dask_bacc.records.events import Stop
from dask_bacc.records.state import RunState


class Balance(HTMLParser):
    """Collects texts and checks that every element is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.tags: list[str] = []
        self.source = ""

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.tags.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data.strip())


def parsed(html: str) -> Balance:
    parser = Balance()
    parser.feed(html)
    parser.close()
    assert not parser.open
    return parser


def pictures(html: str) -> list[Balance]:
    """The drawings in images, which have what they are made of in `source`."""
    found = []
    for data in re.findall("data:image/svg[+]xml;base64,([A-Za-z0-9+/=]+)", html):
        source = base64.b64decode(data).decode()
        found.append(parsed(source))
        found[-1].source = source
    return found


@pytest.mark.parametrize("code", ["systematic", "berrut", "local"])
def test_a_coded_array_shows_its_chunks(code):
    coded = dask_bacc.encode(np.zeros((64, 3)), np.zeros(64), k=8, n=12, code=code)
    html = coded._repr_html_()
    page = parsed(html)
    assert "(8, 3)" in page.texts
    assert "(12, 8, 3)" in page.texts
    assert "8 blocks" in page.texts
    (picture,) = pictures(html)
    assert picture.tags.count("rect") == 8 + 12
    assert picture.tags.count("line") == sum(len(coded.code.row(i)[0]) for i in range(12))


def test_a_large_coded_array_stays_readable():
    code = coding.Berrut(200, 400, systematic=True)
    html = dask_bacc.encode(np.zeros(200), k=200, n=400, code=code)._repr_html_()
    (picture,) = pictures(html)
    assert "line" not in picture.tags
    assert "polygon" in picture.tags
    assert len(html) < 100_000


def test_nothing_is_lost_where_scripts_and_drawings_are_stripped():
    """Notebooks that are opened without trust keep images and styles."""
    state = RunState(k=200, n=256, decoder="kriging")
    coded = dask_bacc.encode(np.zeros(64), k=8, n=12)
    for html in (coded._repr_html_(), run_html("pending", state.report())):
        assert {"script", "style", "svg"}.isdisjoint(parsed(html).tags)
        assert pictures(html)


def test_a_run_shows_a_grid_of_its_chunks_and_escapes_what_they_raise():
    state = RunState(k=2, n=4, decoder="berrut")
    state.start(1, "tcp://<i>")
    state.take_error(0, ValueError("<script>alert(1)</script>"))
    state.take_result(3)
    html = run_html("pending", state.report())
    page = parsed(html)
    assert [text for text in page.texts if text.isdigit()][:4] == ["0", "1", "2", "3"]
    assert "script" not in page.tags
    assert "ValueError: <script>alert(1)</script>" in "".join(page.texts)
    assert "<i>" not in html


def test_every_state_has_a_colour():
    for name in get_args(ChunkState):
        state = RunState(k=1, n=1, decoder="berrut")
        state.records = [ChunkRecord(name)]
        html = run_html("pending", state.report())
        assert f"1 {name}" in " ".join(filter(None, parsed(html).texts))
        many = RunState(k=1, n=200, decoder="berrut")
        many.records = [ChunkRecord(name)] * 200
        grid = pictures(run_html("pending", many.report()))
        fills = re.findall('fill="(#[0-9A-F]{6})"', grid[0].source)
        assert fills == [COLOURS[name].fill]


def test_late_chunks_backups_suspects_and_losses_are_marked():
    state = RunState(k=4, n=6, decoder="kriging")
    state.spare([4, 5])
    state.submit(range(4))
    for chunk in (0, 1, 2):
        state.records[chunk] = ChunkRecord("returned", "a", 0.0, 1.0)
    state.records[3] = ChunkRecord("running", "b", 0.0)
    state.launch([4])
    state.start(4, "c")
    state.start(4, "d")
    report = replace(state.report(), suspects=(1,), late=(3,))
    titles = re.findall(r'title="chunk (\d): ([a-z, ]*?)(?: on|")', run_html("pending", report))
    assert [title for _, title in titles] == [
        "returned",
        "returned, suspect",
        "returned",
        "running, late",
        "running, backup",
        "spare",
    ]
    assert "after 1 other attempt" in run_html("pending", report)
    assert "late" not in run_html("finished", report)


def test_a_grid_of_many_chunks_stays_small():
    state = RunState(k=2048, n=2560, decoder="kriging")
    for chunk in range(2048):
        state.start(chunk, "tcp://10.0.0.1:4000")
    html = run_html("pending", state.report())
    (picture,) = pictures(html)
    assert picture.source.count("M") == 2560
    assert len(html) < 100_000


@pytest.mark.parametrize("count", [101, 1001, 3000, 100_000])
def test_grids_of_any_number_are_small_and_in_proportion(count):
    states = ["returned"] * (count // 2) + ["running"] * (count - count // 2)
    (picture,) = pictures(grid_image(states, {"late": [1, 2]}))
    drawn = picture.source.count("h8v8h-8z")
    shown = min(count, 3000)
    assert picture.source.count("h8v8h-8zm2") in (shown // 2, shown - shown // 2)
    assert drawn == shown
    assert len(picture.source) < 70_000


def test_phases_are_told_apart():
    state = RunState(k=2, n=3, decoder="kriging")
    assert "starting" in run_html("pending", state.report())
    state.start(0, "a")
    assert "starting" not in run_html("pending", state.report())
    state.stopped = Stop.ENOUGH
    assert "decoding (enough results)" in run_html("pending", state.report())


def test_a_report_is_shown_as_its_run(local):
    with local.as_current():
        run = dask_bacc.encode(np.arange(12.0), k=3, n=5).map(np.tanh, enough=5)
        run.result()
    assert run.report._repr_html_() == run._repr_html_()
    assert repr(run.report).startswith("<RunReport: ")


def test_copies_and_mixed_chunks_are_told_apart():
    state = RunState(k=3, n=4, decoder="kriging", mixed=(3,))
    state.submit(range(4))
    for chunk in range(3):
        state.start(chunk, "a")
    state.copy([1])
    html = run_html("pending", state.report())
    titles = re.findall(r'title="chunk \d: ([a-z, ]*?)(?: on|")', html)
    assert titles == ["running", "running, copy", "running", "waiting, mixed"]
    said = " ".join(filter(None, parsed(html).texts))
    assert "1 mixed" in said
    assert "1 copy" in said
