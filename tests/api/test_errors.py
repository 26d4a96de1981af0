"""Functions that raise, and what the user is told."""

from __future__ import annotations

import pickle
import uuid

import numpy as np
import pytest
from distributed import Event

import dask_bacc
from tests.shared import X, assert_nothing_is_left, fails, own_block, wait_until


def test_a_function_that_raises_on_some_chunks(client, gate):
    """Local parity of a linear function gives back exactly what two errors took."""

    def fails_or_waits(block, gate):
        if own_block(block) is None:
            Event(gate).wait()
        return fails(block, {1, 4})

    run = dask_bacc.encode(X, k=8, n=10, code="local").map(fails_or_waits, gate)
    wait_until(lambda: len(run.report.erred) == 2)
    Event(gate, client=client).set()
    np.testing.assert_allclose(run.result(), 2 * X)
    report = run.report
    assert {i: str(error) for i, error in report.erred.items()} == {1: "block 1", 4: "block 4"}
    assert report.missing == (1, 4)


def test_a_function_that_raises_on_too_many(client):
    run = dask_bacc.encode(X, k=8, n=10).map(fails, {1, 4, 6})
    with pytest.raises(
        dask_bacc.DecodeError, match="7 of 10 chunks returned, and 8 were needed"
    ) as info:
        run.result()
    assert isinstance(info.value.__cause__, ZeroDivisionError)
    assert any("fails" in str(entry) for entry in _frames(info.value.__cause__))
    assert set(info.value.report.erred) == {1, 4, 6}
    assert run.status == "error"
    assert_nothing_is_left(client)


def _frames(error):
    traceback = error.__traceback__
    while traceback:
        yield traceback.tb_frame.f_code.co_name
        traceback = traceback.tb_next


def test_retries_try_again(client):
    attempts = f"attempts-{uuid.uuid4()}"

    def flaky(block):
        event = Event(attempts)
        if own_block(block) == 3 and not event.is_set():
            event.set()
            raise OSError("first time")
        return block

    run = dask_bacc.encode(X, k=8, n=8, code="uncoded").map(flaky, retries=1)
    np.testing.assert_array_equal(run.result(), X)
    assert not run.report.erred


def test_a_decode_error_survives_pickling(client):
    run = dask_bacc.encode(X, k=8, n=8, code="uncoded").map(fails, range(8))
    with pytest.raises(dask_bacc.DecodeError) as info:
        run.result()
    copy = pickle.loads(pickle.dumps(info.value))
    assert str(copy) == str(info.value)
    assert set(copy.report.erred) == set(range(8))
