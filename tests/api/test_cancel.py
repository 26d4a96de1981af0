"""Runs that are cancelled or dropped."""

from __future__ import annotations

import gc
from concurrent.futures import CancelledError

import pytest

import dask_bacc
from tests.shared import X, assert_nothing_is_left, held, large, tasks_of_runs, wait_until


def test_cancel(client, gate):
    run = dask_bacc.encode(X, k=8, n=12).map(held, gate, range(8), enough=12)
    wait_until(lambda: any(chunk.state == "running" for chunk in run.report.chunks))
    run.cancel()
    with pytest.raises(CancelledError):
        run.result(timeout=10)
    assert run.status == "cancelled"
    assert_nothing_is_left(client)


def test_dropping_a_run_cancels_it(client, gate):
    run = dask_bacc.encode(X, k=8, n=12).map(held, gate, range(8), enough=12)
    wait_until(lambda: tasks_of_runs(client))
    del run
    gc.collect()
    assert_nothing_is_left(client)


def test_a_cancelled_runs_report_stands_still(client, gate):
    run = dask_bacc.encode(X, k=8, n=12).map(held, gate, range(8), enough=12)
    wait_until(lambda: any(chunk.state == "running" for chunk in run.report.chunks))
    run.cancel()
    wait_until(lambda: "given up" in str(run.report))
    # Two readings in a row are equal only once the clock has stopped.
    wait_until(lambda: run.report.seconds == run.report.seconds)


@pytest.mark.usefixtures("results_stay")
def test_a_run_that_is_cancelled_lets_go_of_its_results(client):
    run = dask_bacc.encode(X, k=8, n=12).map(large, rtol=0)
    wait_until(lambda: run.status == "finished")
    assert client.futures
    run.cancel()
    assert_nothing_is_left(client)
    for call in (run.result, run.to_dask_array):
        with pytest.raises(CancelledError):
            call(timeout=20)
