"""Runs after a worker has hung, over data that is not persisted and has the same keys."""

from __future__ import annotations

import contextlib
import signal
import warnings

import dask
import dask.array as da
import numpy as np
import pytest

import dask_bacc
from benchmarks.processes.cluster import pids, send, until
from tests.faults.strike import StrikeSource
from tests.faults.work import DEADLINE, K, N, X, check, source, wide

WORKERS = 4


def second(first, block):
    return wide(block)


def one_array():
    return dask_bacc.encode(source(), k=K, n=N), wide


def mapped_once_more():
    array = source()
    return dask_bacc.encode(da.map_blocks(np.add, array, array - array), k=K, n=N), wide


def two_arrays():
    return dask_bacc.encode(X[::-1].copy(), source(), k=K, n=N), second


@pytest.fixture
def struck_cluster(start, nothing_left, tmp_path):
    """A client whose first run lost a worker while another was fetching from it."""
    struck = tmp_path / "struck"
    with start(WORKERS).client() as client, nothing_left(client):
        found = pids(client)
        client.register_plugin(StrikeSource(("array-", "add"), found, struck))

        def strike(coded, func):
            run = coded.map(func, client=client, enough=N, rtol=np.inf, deadline=4)
            until(lambda: struck.exists() and struck.read_text(), 20, "nobody was struck")
            # A busy machine may have no answer by then, which does not matter.
            with warnings.catch_warnings(), contextlib.suppress(dask_bacc.DecodeError):
                warnings.simplefilter("ignore", RuntimeWarning)
                run.result(timeout=30)
            return struck.read_text()

        yield client, strike
        for pid in found.values():
            send(pid, signal.SIGCONT)


def lost(run):
    return {event.chunk for event in run.report.events if event.kind == "lost"}


@pytest.mark.parametrize("make", [one_array, mapped_once_more, two_arrays])
def test_what_another_worker_still_fetches_for_the_last_run_is_made_anew(struck_cluster, make):
    client, strike = struck_cluster
    coded, func = make()
    fetching = strike(coded, func)
    # All is to be made on the worker that still waits for one block.
    with dask.annotate(workers=[fetching]):
        run = coded.map(func, client=client, rtol=np.inf, deadline=2 * DEADLINE)
    report = check(run, 2 * DEADLINE)
    assert report.stopped != "deadline"
    assert lost(run)
    # Any worker may run these.
    assert check(coded.map(func, client=client, rtol=0, deadline=DEADLINE)).stopped != "deadline"


def test_the_worker_that_hung_goes_on_meanwhile(struck_cluster):
    client, strike = struck_cluster
    coded, func = one_array()
    fetching = strike(coded, func)
    with dask.annotate(workers=[fetching]):
        run = coded.map(func, client=client, enough=N, rtol=0, deadline=2 * DEADLINE)
    until(lambda: lost(run), 30, "nothing was made anew")
    for pid in pids(client).values():
        send(pid, signal.SIGCONT)
    report = check(run, 2 * DEADLINE)
    assert report.stopped != "deadline"
    assert len(report.returned) == N or report.error == 0
