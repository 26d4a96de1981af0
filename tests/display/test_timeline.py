from __future__ import annotations

import sys
from collections import Counter

import dask
import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import to_hex, to_rgb

import dask_bacc
from dask_bacc.display.palette import COLOURS
from dask_bacc.display.timeline import timeline
from dask_bacc.records.chunk import ChunkRecord
from dask_bacc.records.events import Stop
from dask_bacc.records.state import RunState


@pytest.fixture(autouse=True)
def headless():
    with mpl.rc_context({"backend": "agg"}):
        yield
        plt.close("all")


def test_bars_are_chunks_on_their_workers_in_the_colour_of_their_state():
    state = RunState(k=2, n=4, decoder="berrut")
    state.finished = 3.0
    state.records = [
        ChunkRecord("returned", "b", 0.5, 1.5),
        ChunkRecord("returned", "a", 0.0, 2.0),
        ChunkRecord("cancelled", "b", 1.5, 3.0),
        ChunkRecord("cancelled", None, None, 3.0),
    ]
    state.still_running = {(2, 0): "b"}
    ax = timeline(state.report())
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["a", "b", "not started"]
    assert drawn(ax) == {
        "returned": {(0, 0.0, 2.0), (1, 0.5, 1.0)},
        "cancelled": {(1, 1.5, 1.5)},
    }
    for bars in ax.containers:
        assert {to_hex(bar.get_facecolor()).upper() for bar in bars} == {
            COLOURS[bars.get_label()].fill
        }
    assert legend(ax) == ["returned", "cancelled", "may still run", "queued, under way"]
    assert [text.get_text() for text in ax.texts] == ["1", "0", "2", "3"]


def drawn(ax):
    """Row, begin and length of the bars, by outcome."""
    return {
        bars.get_label(): {
            (round(b.get_y() + b.get_height() / 2), float(b.get_x()), float(b.get_width()))
            for b in bars
        }
        for bars in ax.containers
    }


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_chunks_that_one_worker_has_at_once_do_not_hide_each_other():
    state = RunState(k=2, n=3, decoder="berrut")
    state.finished = 3.0
    state.records = [
        ChunkRecord("returned", "host:10", 0.0, 2.0),
        ChunkRecord("returned", "host:9", 0.0, 1.0),
        ChunkRecord("returned", "host:10", 1.0, 3.0),
    ]
    ax = timeline(state.report())
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["host:9", "host:10"]
    assert drawn(ax)["returned"] == {(0, 0.0, 1.0), (1, 0.0, 2.0), (2, 1.0, 2.0)}


def test_an_attempt_that_raised_and_is_tried_again_is_drawn():
    state = RunState(k=1, n=1, decoder="berrut")
    state.submit([0])
    state.start(0, "a")
    state.done(0, "a")
    state.start(0, "a")
    state.take_result(0)
    state.finished = state.elapsed
    bars = drawn(timeline(state.report()))
    assert {outcome: len(found) for outcome, found in bars.items()} == {"returned": 1, "erred": 1}
    (raised,), (returned,) = bars["erred"], bars["returned"]
    assert raised[1] + raised[2] <= returned[1]


def test_lost_attempts_backups_and_spares():
    state = RunState(k=2, n=4, decoder="berrut")
    state.spare([2, 3])
    state.submit([0, 1])
    for chunk, worker in ((0, "a"), (1, "b"), (0, "c")):
        state.start(chunk, worker)
    state.launch([2])
    state.start(2, "c")
    for chunk in (0, 2):
        state.take_result(chunk)
    ax = timeline(state.report())
    counts = {outcome: len(bars) for outcome, bars in drawn(ax).items()}
    assert counts == {"returned": 2, "running": 1, "lost": 1}
    assert [row for row, _, _ in drawn(ax)["lost"]] == [0]
    [diamonds] = [line for line in ax.lines if line.get_label() == "backup"]
    assert len(diamonds.get_xdata()) == 1
    assert "3" not in [text.get_text() for text in ax.texts]


def test_a_chunk_that_is_lost_again_before_it_has_started():
    state = RunState(k=1, n=2, decoder="berrut")
    state.submit([0, 1])
    state.start(0, "a")
    state.launch([0])
    state.launch([0])
    state.start(0, "b")
    state.take_result(0)
    counts = {outcome: len(bars) for outcome, bars in drawn(timeline(state.report())).items()}
    assert counts == {"returned": 1, "lost": 1}


def test_axes_that_have_something_of_the_users():
    _, ax = plt.subplots()
    ax.axvline(0.5, label="my deadline")
    state = RunState(k=1, n=1, decoder="berrut")
    state.start(0, "a")
    state.take_result(0)
    labels = [text.get_text() for text in timeline(state.report(), ax).get_legend().get_texts()]
    assert "returned" in labels


def test_the_plot_of_a_real_run_has_its_bars(local):
    def work(block):
        if block[0] == 3:
            raise OSError
        return np.tanh(block)

    # One backup for the chunk that raises, and none for what a busy machine holds up.
    with dask.config.set({"bacc.backup.minimum": 30}):
        run = dask_bacc.encode(np.arange(8.0), k=8, n=12).map(
            work, launch="backup", rtol=np.inf, client=local
        )
    run.result(timeout=60)
    report = run.report
    figure, given = plt.subplots()
    ax = run.plot(given)
    assert ax is given
    figure.canvas.draw()
    counts = {outcome: len(bars) for outcome, bars in drawn(ax).items()}
    started = Counter(chunk.state for chunk in report.chunks if chunk.started is not None)
    assert counts == started
    assert counts["returned"] == len(report.returned)
    assert counts["erred"] == 1
    lines = {line.get_label(): line for line in ax.lines}
    assert list(lines["answer"].get_xdata()) == [report.seconds] * 2
    assert len(lines["backup"].get_xdata()) == sum(c.backup is not None for c in report.chunks)


def test_many_rows_are_not_named():
    state = RunState(k=100, n=200, decoder="berrut")
    state.finished = 1.0
    state.records = [ChunkRecord("returned", f"w{i}", 0.0, 1.0) for i in range(200)]
    ax = timeline(state.report())
    assert len(drawn(ax)["returned"]) == 200
    assert ax.get_ylabel() == "200 workers"
    assert not ax.get_yticklabels()
    assert ax.figure.get_figheight() <= 12


def test_without_matplotlib_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    state = RunState(k=1, n=1, decoder="berrut")
    with pytest.raises(ImportError, match="pip install matplotlib"):
        timeline(state.report())


def test_messages_that_are_late_give_a_worker_no_second_row():
    state = RunState(k=2, n=2, decoder="berrut")
    state.finished = 2.0
    state.records = [
        ChunkRecord("returned", "a", 0.0, 1.02),
        ChunkRecord("returned", "a", 1.0, 2.0),
    ]
    ax = timeline(state.report())
    assert {row for row, *_ in drawn(ax)["returned"]} == {0}


def test_chunks_of_a_moment_are_seen():
    """Bars thinner than a pixel are as wide as one, and no edge hides them."""
    state = RunState(k=300, n=300, decoder="berrut")
    state.finished = 10.0
    state.records = [
        ChunkRecord("returned", f"w{i % 8}", i / 30, i / 30 + 1e-4) for i in range(300)
    ]
    ax = timeline(state.report())
    ax.figure.canvas.draw()
    pixels = np.asarray(ax.figure.canvas.buffer_rgba())[..., :3]
    green = np.array([0, 158, 115])
    assert (np.abs(pixels.astype(int) - green).max(axis=-1) < 60).sum() > 300


def test_workers_that_hang_have_a_row_with_what_is_the_matter():
    state = RunState(k=1, n=1, decoder="berrut")
    state.finished = 1.0
    state.records = [ChunkRecord("returned", "a", 0.0, 1.0)]
    state.troubles = {"b": "does not respond"}
    names = [tick.get_text() for tick in timeline(state.report()).get_yticklabels()]
    assert names == ["a", "b (does not respond)"]


@pytest.mark.parametrize("style", ["default", "dark_background"])
def test_what_is_written_can_be_read_in_every_style(style):
    state = RunState(k=2, n=3, decoder="berrut")
    state.finished = 3.0
    state.stopped = Stop.ENOUGH
    state.records = [
        ChunkRecord("returned", "a", 0.0, 2.0, backup=0.5),
        ChunkRecord("returned", "b", 0.5, 1.5),
        ChunkRecord("cancelled", None, None, 3.0),
    ]
    with plt.style.context(style):
        ax = timeline(state.report())
    page = luminance(ax.get_figure().get_facecolor())
    lines = [line for line in ax.lines if line.get_label() in ("answer", "backup")]
    texts = [*ax.get_yticklabels(), *ax.get_legend().get_texts(), ax.xaxis.label]
    assert len(lines) == 2
    for artist in [*texts, *lines]:
        assert abs(luminance(artist.get_color()) - page) > 0.5, artist
    # Of chunks that never began the numbers are beside bars, on a ground of their own.
    (number,) = (text for text in ax.texts if text.get_text() == "2")
    ground = luminance(number.get_bbox_patch().get_facecolor())
    assert abs(luminance(number.get_color()) - ground) > 0.5


def luminance(colour):
    """Relative luminance, as in the Web Content Accessibility Guidelines."""
    red, green, blue = (np.array(to_rgb(colour)) / 1.0) ** 2.2
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
