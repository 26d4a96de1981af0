"""Estimates use one BLAS thread, end when they have to, and stay bounded with the rows."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from dask_bacc import coding
from dask_bacc.coding.kriging import fit
from dask_bacc.coding.kriging.fit import Posterior
from dask_bacc.coding.kriging.kernels import FAMILIES
from dask_bacc.coding.patience import search_until
from dask_bacc.coding.threads import one_thread
from tests.shared import relative_error
from tests.strategies import SYSTEMATIC, four_outputs


def blas_threads():
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


def test_one_thread_ends_with_the_last_who_needs_it():
    inside, leave, gone = threading.Event(), threading.Event(), threading.Event()

    def other():
        with one_thread():
            inside.set()
            leave.wait(30)
        gone.set()

    with threadpool_limits(2, user_api="blas"):
        before = blas_threads()
        with one_thread():
            thread = threading.Thread(target=other)
            thread.start()
            assert inside.wait(30)
        assert blas_threads() == {1}
        leave.set()
        assert gone.wait(30)
        thread.join()
        assert blas_threads() == before != {1}


def test_a_decoder_uses_one_thread_and_gives_back_what_was_set(monkeypatch):
    seen = set()
    cost = Posterior.cost

    def watched(self, parameters):
        seen.update(blas_threads())
        return cost(self, parameters)

    monkeypatch.setattr(fit.Posterior, "cost", watched)
    blocks = np.random.default_rng(0).normal(size=(4, 3, 5))
    results = dict(enumerate(four_outputs(SYSTEMATIC(4, 6).encode(blocks))))
    del results[2]
    with threadpool_limits(2, user_api="blas"):
        coding.decode(SYSTEMATIC(4, 6), results, rows=blocks)
        assert blas_threads() == {2}
    assert seen == {1}


@pytest.mark.parametrize("rows", [1, 12])
def test_a_search_that_has_no_time_gives_an_honest_estimate(rows):
    """The parameters that it starts from are as good as none, and say so."""
    ratios = []
    for seed in range(12):
        blocks = np.random.default_rng(seed).normal(size=(8, rows, 6))
        code = SYSTEMATIC(8, 12)
        results = {
            i: r for i, r in enumerate(four_outputs(code.encode(blocks))) if i not in (1, 5)
        }
        truth = four_outputs(blocks)
        with search_until(time.monotonic() - 1):
            decoded = coding.decode(code, results, rows=blocks)
        own = [0, 2, 3, 4, 6, 7]
        np.testing.assert_array_equal(decoded.blocks[own], truth[own])
        error = np.linalg.norm(decoded.blocks - truth) / np.sqrt(truth[0].size)
        ratios.append(error / np.linalg.norm(decoded.error))
    assert np.max(ratios) < 3


def test_a_search_that_is_broken_off_asks_for_no_more_costs(monkeypatch):
    calls = []
    cost = Posterior.cost

    def counted(self, parameters):
        calls.append(self.family.name)
        return cost(self, parameters)

    monkeypatch.setattr(fit.Posterior, "cost", counted)
    blocks = np.random.default_rng(0).normal(size=(8, 4, 6))
    code = SYSTEMATIC(8, 12)
    results = {i: r for i, r in enumerate(four_outputs(code.encode(blocks))) if i not in (1, 5)}
    flat = blocks.reshape(8, -1)
    with search_until(time.monotonic() - 1):
        coding.decode(code, results, "kriging", flat @ flat.T)
    hurried = len(calls)
    calls.clear()
    coding.decode(code, results, "kriging", flat @ flat.T)
    assert hurried <= 3 * (len(FAMILIES) + 1) < len(calls)


@pytest.mark.parametrize(("rows", "length"), [(1600, 20), (1700, 20), (4000, 8), (4200, 8)])
def test_many_rows_are_points_as_few_are(rows, length):
    blocks = np.random.default_rng(0).random((8, rows, length))
    code = SYSTEMATIC(8, 12)
    results = {i: r for i, r in enumerate(four_outputs(code.encode(blocks))) if i not in (1, 4)}
    decoded = coding.decode(code, results, rows=blocks)
    assert decoded.kernels[0].endswith("of rows")
    truth = four_outputs(blocks)
    error = relative_error(decoded.blocks, truth)
    flat = blocks.reshape(8, -1)
    by_blocks = coding.decode(code, results, "kriging", flat @ flat.T)
    assert error < relative_error(by_blocks.blocks, truth) / 2
    assert error < 3 * np.linalg.norm(decoded.error) / np.linalg.norm(truth) * np.sqrt(rows * 4)
