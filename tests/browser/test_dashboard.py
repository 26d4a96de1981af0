"""The page of coded runs on the dashboard of a real scheduler, in a browser."""

from __future__ import annotations

import json
import os
import signal
import sys
import urllib.request
from pathlib import Path

import pytest
from distributed import Client, LocalCluster

import dask_bacc
import dask_bacc.dashboard
from benchmarks.processes.cluster import pids, send, until
from tests.faults.work import encoded, held, wide
from tests.shared import local_cluster


@pytest.fixture(scope="module")
def client():
    with (
        LocalCluster(
            n_workers=3, threads_per_worker=1, dashboard_address="127.0.0.1:0"
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def address(client):
    found = dask_bacc.dashboard.register(client)
    # Twice is once.
    assert dask_bacc.dashboard.register(client) == found
    return found


def columns(page):
    """What Bokeh's tables and figures of the page show, by column."""
    return page.evaluate(
        """() => Object.assign({}, ...Bokeh.documents.flatMap(d => [...d._all_models.values()])
            .filter(m => m.type == "ColumnDataSource")
            .map(m => Object.fromEntries(Object.entries(m.data).map(([k, v]) => [k, [...v]]))))"""
    )


def row(page, number):
    """What a row of the table says; empty if it is not there."""
    return "\n".join(page.locator("tbody tr").all_inner_texts()[number : number + 1])


def test_runs_and_workers_are_shown(page, client, address, tmp_path):
    gate = tmp_path / "gate"
    done = encoded().map(wide, client=client, rtol=0.01)
    done.result(timeout=120)
    run = encoded().map(held, gate, client=client, rtol=0.01, copies=False)
    page.goto(address)
    until(lambda: "held" in row(page, 0), 20, "no run is shown")
    first, second = row(page, 0), row(page, 1)
    assert "running" in first
    assert "0 of 12" in first
    assert "wide" in second
    assert str(done.report.stopped) in second
    until(lambda: columns(page)["running"] == [1, 1, 1], 20, lambda: columns(page))
    # Others are still with the scheduler.
    assert columns(page)["waiting"] == [1, 1, 1]
    if folder := os.environ.get("BACC_SCREENSHOTS"):
        part = {"x": 0, "y": 0, "width": 1100, "height": 340}
        page.screenshot(path=Path(folder) / "dashboard.png", clip=part)
    gate.touch()
    run.result(timeout=120)
    until(lambda: str(run.report.stopped) in row(page, 0), 20, lambda: row(page, 0))


def test_a_worker_that_hangs_is_named(page, client, address):
    worker, pid = next(iter(pids(client).items()))
    page.goto(address)
    send(pid, signal.SIGSTOP)
    try:
        until(lambda: said(page, worker).startswith("does not respond"), 120, "nobody hangs")
    finally:
        send(pid, signal.SIGCONT)
    until(lambda: said(page, worker) == "", 120, "it goes on, and nobody says so")


def said(page, worker):
    shown = columns(page)
    by_worker = dict(zip(shown.get("worker", []), shown.get("said", []), strict=True))
    return by_worker.get(worker, "")


def test_panels_are_listed_and_shown_alone(page, client, address):
    base = address.removesuffix("bacc")
    listed = json.load(urllib.request.urlopen(f"{base}individual-plots.json"))
    shown = {
        "Individual Bacc Runs": lambda: row(page, 0),
        "Individual Bacc Workers": lambda: len(columns(page).get("worker", [])) == 3,
    }
    for name, is_shown in shown.items():
        page.goto(base.rstrip("/") + listed[name])
        until(is_shown, 20, "nothing is shown")
        assert page.locator(".navbar").count() == 0
    page.goto(address.removesuffix("bacc") + "status")
    assert page.get_by_role("link", name="Bacc", exact=True).count() == 1


@pytest.mark.parametrize("bokeh", [True, False])
def test_without_a_dashboard_it_says_so(monkeypatch, bokeh):
    said = "the scheduler has no dashboard" if bokeh else "needs bokeh where the scheduler runs"
    if not bokeh:
        monkeypatch.setitem(sys.modules, "dask_bacc.dashboard.page", None)
    with (
        local_cluster(1, processes=False) as cluster,
        Client(cluster, set_as_default=False) as client,
        pytest.raises((ImportError, ValueError), match=said),
    ):
        dask_bacc.dashboard.register(client)
