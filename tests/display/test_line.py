"""One line that says how far a run is."""

from __future__ import annotations

from dataclasses import replace

from dask_bacc.display.line import phase, progress_line
from dask_bacc.records.state import RunState


def test_the_line_fits_the_terminal_and_the_bar_its_width():
    state = RunState(k=150, n=200, decoder="kriging")
    state.spare(range(150, 200))
    for chunk in range(100):
        state.start(chunk, "w")
    for chunk in range(50):
        state.take_result(chunk)
    line = progress_line("pending", state.report())
    assert line.startswith("[" + "#" * 10 + ">" * 10 + "." * 10 + " " * 10 + "] | 50 returned / ")
    for columns in (100, 80, 60, 20, 0):
        assert len(progress_line("pending", state.report(), columns)) <= columns


def test_the_error_so_far_is_told_while_a_run_goes_on():
    state = RunState(k=4, n=6, decoder="kriging")
    state.start(0, "a")
    report = replace(state.report(), error=0.125)
    assert phase("pending", report)[-1] == "estimated error so far 0.12"
    assert "so far" not in " ".join(phase("pending", state.report()))
