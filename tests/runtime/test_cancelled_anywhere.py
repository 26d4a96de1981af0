"""A run that is cancelled at any step of its loop leaves no key and no future."""

from __future__ import annotations

import asyncio
import gc
import itertools
import time
import types
from concurrent.futures import CancelledError

import dask
import numpy as np
import pytest
from distributed import Client

import dask_bacc
from dask_bacc.runtime import answer
from tests.shared import local_cluster, wait_until


@pytest.fixture(scope="module")
def client():
    """Workers in this process, for hundreds of runs of a few milliseconds."""
    with local_cluster(2, threads=2, processes=False) as cluster, Client(cluster) as client:
        yield client


@types.coroutine
def stepwise(coroutine, cancel_at, steps):
    """Await a coroutine, counting its steps, and cancel its task just before one of them."""
    sent, thrown = None, None
    for step in itertools.count():
        steps.append(step)
        if step == cancel_at:
            asyncio.current_task().cancel()
        try:
            future = coroutine.send(sent) if thrown is None else coroutine.throw(thrown)
        except StopIteration as end:
            return end.value
        sent, thrown = None, None
        try:
            sent = yield future
        except BaseException as error:
            thrown = error


def tanh(block, slow):
    """Takes long on one block, unless it is cancelled."""
    for _ in range(200 * np.array_equal(block, slow)):
        if dask_bacc.should_stop():
            break
        time.sleep(0.005)
    return np.tanh(block)


def answer_here(run):
    return run.result(timeout=20)


def answer_there(run):
    return run.to_dask_array(timeout=20)


def answer_here_later(run):
    """Once it is known how the results decode, all of which are on the workers."""
    wait_until(lambda: run.status == "finished")
    return run.result(timeout=20)


def is_over(run):
    return lambda: run.report.state != "still waiting"


@pytest.fixture
def no_collector():
    """Collects no reference cycles: they may keep what the cluster should be free of for long."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize(
    ("stage", "ask", "limit", "options"),
    [
        ("run_to_answer", answer_here, "1 MiB", {}),
        ("run_to_answer", answer_here, "1 MiB", {"launch": "backup"}),
        ("run_to_answer", answer_here, "1 MiB", {"cancel": "keep"}),
        ("run_to_answer", answer_there, 0, {}),
        ("fetch_and_decode", answer_here_later, 0, {}),
    ],
    ids=["eager", "backup", "keep", "on workers", "fetch"],
)
def test_a_run_cancelled_at_any_step_leaves_nothing(
    client, monkeypatch, no_collector, stage, ask, limit, options
):
    blocks = np.linspace(-1, 1, 48).reshape(4, 12)
    coded = dask_bacc.encode(blocks.ravel(), k=4, n=6)
    original = getattr(answer, stage)
    cancelled = reached = 0

    def left():
        tasks = client.run_on_scheduler(lambda dask_scheduler: list(dask_scheduler.tasks))
        return {*client.futures, *tasks}

    def go(cancel_at):
        nonlocal cancelled, reached
        steps = []

        async def stepped(*args):
            return await stepwise(original(*args), cancel_at, steps)

        monkeypatch.setattr(answer, stage, stepped)
        with dask.config.set({"bacc.gather-limit": limit}):
            run = coded.map(tanh, blocks[1], rtol=0.5, client=client, **options)
        try:
            ask(run)
        except CancelledError:
            cancelled += 1
            wait_until(is_over(run))
        del run
        wait_until(lambda: not left())
        reached += cancel_at in steps
        return len(steps)

    most = max(go(None), go(None))
    for cancel_at in range(most):
        go(cancel_at)
    # The last steps may find it ended.
    assert cancelled > reached // 2 > 1
