"""What a run does beside taking in results."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

import dask_bacc
from dask_bacc import coding
from dask_bacc.coding.patience import out_of_time
from tests.shared import wait_until

X = np.arange(80.0).reshape(8, 10)


class Endless(coding.Kriging):
    """Searches for as long as it may, the first time."""

    searching = threading.Event()

    def solve(self, evidence):
        if not self.searching.is_set():
            self.searching.set()
            while not out_of_time():
                time.sleep(0.001)
        return super().solve(evidence)


class Gate:
    """In this process, where the workers are."""

    opened = threading.Event()


def held(block):
    if block[0, 0] == X[0, 0]:
        Gate.opened.wait()
    return block**2


@pytest.fixture(autouse=True)
def new(monkeypatch):
    monkeypatch.setattr(Endless, "searching", threading.Event())
    monkeypatch.setattr(Gate, "opened", threading.Event())


@pytest.mark.usefixtures("no_copies")
def test_an_answer_that_is_complete_does_not_wait_for_an_estimate(local):
    """Nothing else ends the search: with all blocks in, nobody needs what it would find."""
    coded = dask_bacc.encode(X, k=8, n=12)
    run = coded.map(held, decoder=Endless(), rtol=1e-9, client=local)
    assert Endless.searching.wait(30)
    assert run.status == "pending"
    Gate.opened.set()
    np.testing.assert_array_equal(run.result(timeout=30), X**2)
    assert run.report.stopped == "every block returned"


@pytest.mark.usefixtures("no_copies")
def test_a_run_that_is_cancelled_ends_its_estimate(local):
    coded = dask_bacc.encode(X, k=8, n=12)
    run = coded.map(held, decoder=Endless(), rtol=1e-9, client=local)
    assert Endless.searching.wait(30)
    run.cancel()
    wait_until(lambda: run.status == "cancelled")
    Gate.opened.set()
