"""Clients of every kind, and runs inside of tasks."""

from __future__ import annotations

import asyncio
import uuid

import numpy as np
import pytest
from distributed import Client, Event

import dask_bacc
from tests.shared import X, fails, held, wait_until


def test_an_asynchronous_client(processes):
    async def main():
        async with Client(processes.scheduler_address, asynchronous=True) as client:
            coded = dask_bacc.encode(X, k=8, n=12)
            run = coded.map(np.negative, enough=12)
            np.testing.assert_allclose(await run, -X, atol=1e-10)
            np.testing.assert_allclose(await run.result(), -X, atol=1e-10)
            failing = coded.map(fails, range(8))
            with pytest.raises(dask_bacc.DecodeError):
                await failing
            gate = Event(f"gate-{uuid.uuid4()}")
            waiting = coded.map(held, gate.name, range(8), enough=12)
            with pytest.raises(TimeoutError):
                await waiting.result(timeout=0.05)
            assert waiting.status == "pending"
            await gate.set()
            np.testing.assert_allclose(await waiting, X**2)
            for _ in range(1000):
                if not client.futures and not client.refcount:
                    break
                await asyncio.sleep(0.01)
            assert not client.futures
            assert not client.refcount

    asyncio.run(main())


def test_a_client_that_is_not_the_default(processes):
    with Client(processes, set_as_default=False) as other:
        run = dask_bacc.encode(X, k=8, n=12).map(np.negative, client=other, enough=12)
        np.testing.assert_allclose(run.result(), -X)


def test_a_client_that_closes_in_the_middle(processes, gate):
    with Client(processes, set_as_default=False) as other:
        run = dask_bacc.encode(X, k=8, n=12).map(held, gate, range(8), enough=12, client=other)
        wait_until(lambda: any(chunk.state == "running" for chunk in run.report.chunks))
    with pytest.raises(dask_bacc.DecodeError, match=r"gave up .* when the client closes"):
        run.result(timeout=30)


def test_a_run_inside_a_task(client):
    def outer():
        from distributed import worker_client

        with worker_client() as inner:
            return (
                dask_bacc.encode(X, k=8, n=12).map(np.negative, client=inner, enough=12).result()
            )

    np.testing.assert_allclose(client.submit(outer).result(), -X, atol=1e-10)
