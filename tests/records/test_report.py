"""What a report says, and in how many words."""

from __future__ import annotations

import traceback

import numpy as np
import pytest

import dask_bacc
from dask_bacc import ChunkRecord, RunReport
from dask_bacc.display.html import run_html
from dask_bacc.records.events import Stop
from dask_bacc.records.report import waited_for
from tests.shared import X, fails, held, wait_until


def report(n=320, k=256, **known):
    """Of a run of which every fifth chunk is missing."""
    missing = tuple(range(0, n, 5))
    chunks = [
        ChunkRecord("cancelled" if i in missing else "returned", f"w{i % 9}", 0.0, 1.0)
        for i in range(n)
    ]
    default = {
        "k": k,
        "n": n,
        "returned": tuple(i for i in range(n) if i not in missing),
        "missing": missing,
        "erred": {},
        "cancelled": missing,
        "still_running": {},
        "decoder": "kriging",
        "error": 0.01,
        "block_error": tuple(0.01 * (j % 5 == 0) for j in range(k)),
        "stopped": Stop.ENOUGH,
        "seconds": 1.0,
        "chunks": tuple(chunks),
    }
    return RunReport(**{**default, **known})


def test_a_report_of_many_chunks_has_few_words():
    said = report(still_running={i: f"tcp://10.0.0.{i}:4000" for i in range(0, 300, 5)})
    assert len(repr(said)) < 100
    assert "320" in repr(said)
    assert len(str(said).splitlines()) < 8
    assert "and 52 more" in str(said)
    assert said.approximate == dict.fromkeys(range(0, 256, 5), 0.01)
    assert "approximate blocks, with their errors: 0 (0.01), 5 (0.01)" in str(said)
    assert said.work == 320 / 256


def test_chunks_in_a_row_are_a_range():
    said = str(report(missing=(0, 1, 2, 3, 7, 9, 10)))
    assert "missing: 0-3, 7, 9, 10" in said


def test_an_error_of_many_chunks_is_told_once():
    erred = {i: OSError("no such file") for i in (1, 2, 3, 9)} | {5: ValueError("odd")}
    said = report(erred=erred)
    assert said.errors == [
        ("chunks 1-3, 9", "OSError: no such file"),
        ("chunk 5", "ValueError: odd"),
    ]
    assert str(said).count("no such file") == 1
    html = run_html("error", said)
    assert html.count("no such file") == 1
    assert "chunks 1-3, 9" in html


def test_what_is_waited_for_is_not_missing(client, gate):
    run = dask_bacc.encode(X, k=8).map(held, gate, {1, 2, 3})
    wait_until(lambda: len(run.report.returned) == 5)
    said = str(run.report)
    assert "waiting for: 1-3" in said
    assert "missing" not in said
    # Who has them is said a moment later.
    wait_until(lambda: "waiting for 1-3 on tcp://" in waited_for(run.report))
    run.cancel()


def test_the_functions_own_frames_come_first(client):
    run = dask_bacc.encode(X, k=8).map(fails, range(8))
    with pytest.raises(dask_bacc.DecodeError) as info:
        run.result(timeout=60)
    error = info.value
    assert len(traceback.extract_tb(error.__traceback__)) <= 2
    frames = traceback.extract_tb(error.__cause__.__traceback__)
    assert frames[0].name == "fails"


def test_partial_answers_are_told_in_a_line(client):
    run = dask_bacc.encode(X, k=8).map(np.tanh)
    (*_, last) = run.partials()
    assert repr(last) == "<Partial: an answer from 8 results, error 0>"


def test_arrays_have_errors_of_their_own(client):
    def both(block, lost):
        if np.array_equal(block, lost):
            raise OSError("it cannot be read")
        return {"curve": np.tanh(3 * block), "line": 2 * block.sum(axis=1)}

    x = np.sin(np.arange(24)[:, None] / 9 + np.arange(2))
    run = dask_bacc.encode(x, k=8, n=12).map(both, x[6:9], rtol=np.inf, enough=11, copies=False)
    answer = run.result()
    found = run.report.leaf_error
    truth = {"['curve']": np.tanh(3 * x), "['line']": 2 * x.sum(axis=1)}
    assert found.keys() == truth.keys()
    for place, part in (("['curve']", answer["curve"]), ("['line']", answer["line"])):
        off = np.sqrt(np.mean((part - truth[place]) ** 2) / np.mean(truth[place] ** 2))
        assert off <= 3 * max(found[place], 1e-9)
    assert found["['line']"] < found["['curve']"] / 100
    assert f"errors of the arrays: ['curve'] {found['[' + repr('curve') + ']']:.2g}" in str(
        run.report
    )


def test_what_is_out_of_the_ordinary_is_folded_away():
    odd = report(troubles={"tcp://a": "is gone"}, not_finite=(3, 4, 5), slow={"tcp://b": 9.0})
    html = run_html("finished", odd)
    assert html.count("<details") == 1
    assert "<summary" in html
    for words in ("tcp://a is gone", "3-5", "tcp://b (9 times)", "approximate blocks"):
        assert words in html
        assert words in str(odd)
    assert "<details" not in run_html("finished", report(block_error=(0.0,) * 256))
