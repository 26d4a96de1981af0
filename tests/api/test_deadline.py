"""Runs that end by their deadline."""

from __future__ import annotations

import numpy as np
import pytest

import dask_bacc
from tests.shared import X, assert_nothing_is_left, held


def test_deadline_takes_what_has_come_and_says_so(client, gate):
    run = dask_bacc.encode(X, k=8, n=10).map(held, gate, {1, 3, 5}, enough=9, deadline=4)
    with pytest.warns(RuntimeWarning, match=r"decoded from \d results, fewer than enough=9"):
        answer = run.result()
    assert run.report.stopped == "deadline"
    assert np.isfinite(answer).all()
    np.testing.assert_array_equal(answer[:3], X[:3] ** 2)


def test_deadline_with_nothing_is_no_answer(client, gate):
    run = dask_bacc.encode(X, k=8, n=8, code="uncoded").map(held, gate, range(8), deadline=0.2)
    with pytest.raises(dask_bacc.DecodeError, match="0 of 8 chunks returned"):
        run.result()
    assert_nothing_is_left(client)


def test_deadline_with_a_lost_block_is_no_answer(client, gate):
    run = dask_bacc.encode(X, k=8, n=9, code="local").map(
        held, gate, {1, 3}, decoder="least-squares", deadline=4
    )
    with pytest.raises(
        dask_bacc.DecodeError, match=r"of 9 chunks returned, and blocks .*\b1, .*are lost"
    ):
        run.result()
