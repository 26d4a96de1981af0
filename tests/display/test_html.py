from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import get_args

import numpy as np
import pytest

import dask_bacc
from dask_bacc import coding
from dask_bacc.display.html import run_html
from dask_bacc.display.palette import COLOURS
from dask_bacc.records.chunk import ChunkRecord, ChunkState
from dask_bacc.records.state import RunState


class Balance(HTMLParser):
    """Collects texts and checks that every element is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.tags: list[str] = []

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


@pytest.mark.parametrize("code", ["systematic", "berrut", "local"])
def test_a_coded_array_shows_its_chunks(code):
    coded = dask_bacc.encode(np.zeros((64, 3)), np.zeros(64), k=8, n=12, code=code)
    page = parsed(coded._repr_html_())
    assert page.tags.count("rect") == 8 + 12
    assert "(8, 3)" in page.texts
    assert "(12, 8, 3)" in page.texts
    assert "8 blocks" in page.texts
    assert page.tags.count("line") == sum(len(coded.code.row(i)[0]) for i in range(12))


def test_a_large_coded_array_stays_readable():
    code = coding.Berrut(200, 400, systematic=True)
    html = dask_bacc.encode(np.zeros(200), k=200, n=400, code=code)._repr_html_()
    assert "line" not in parsed(html).tags
    assert len(html) < 100_000


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
        assert f"{name} 1" in " ".join(parsed(html).texts)
        assert COLOURS[name].fill in html


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
    assert parsed(html).tags.count("i") == 2560
    assert len(html) < 500_000


def test_a_report_is_shown_as_its_run(local):
    with local.as_current():
        run = dask_bacc.encode(np.arange(12.0), k=3, n=5).map(np.tanh, enough=5)
        run.result()
    assert run.report._repr_html_() == run._repr_html_()
    assert repr(run.report).startswith("<RunReport: ")
