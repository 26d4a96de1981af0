"""Runs are never sure without reason."""

from __future__ import annotations

import numpy as np
import pytest
from distributed import Client, Event

import dask_bacc
from tests.shared import chunk_here, closed_gate, local_cluster, relative_error, wait_until


def counts(block):
    return (block > 250.0).sum(axis=0)


#: Functions that are the same, or linear, in all blocks but one.
FUNCTIONS = {
    "counts": counts,
    "mask": lambda block: (block > 250.0).astype(float),
    "clip": lambda block: np.clip(block, 280.0, 320.0),
    "saturated curve": lambda block: np.tanh((block - 250.0) / 5),
    "list of flags": lambda block: [float(block.mean() > 250.0), float(block.min() > 0.0)],
    "argsort": lambda block: np.argsort(block, axis=0, kind="stable"),
}


@pytest.fixture(scope="module")
def threads():
    with local_cluster(1, 4, processes=False) as cluster, Client(cluster) as client:
        yield client


@pytest.fixture
def gate(threads, no_copies):
    with closed_gate(threads) as name:
        yield name


@pytest.mark.filterwarnings("ignore:the estimate is above rtol")
@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("odd", [0, 3, 7])
def test_a_run_with_nothing_lost_is_exact_by_default(threads, name, odd):
    rng = np.random.default_rng(odd)
    blocks = 300 + rng.normal(size=(8, 10, 4))
    blocks[odd] -= 60
    run = dask_bacc.encode(blocks.reshape(80, 4), k=8, n=12).map(
        FUNCTIONS[name], combine="stack", client=threads
    )
    answer = run.result(timeout=60)
    truth = [FUNCTIONS[name](block) for block in blocks]
    parts = zip(*truth, strict=True) if name == "list of flags" else [truth]
    for found, expected in zip(
        answer if name == "list of flags" else [answer], parts, strict=True
    ):
        np.testing.assert_array_equal(found, np.stack([np.asarray(part) for part in expected]))
    assert run.report.suspects == ()
    # Whatever results have come besides, a rough function may look noisy.
    assert run.report.error == 0 or run.report.noise > 0


def events(block, gate, usual):
    """How many large values there are; long where there are any."""
    found = (block > 4).sum()
    if found:
        Event(gate).wait()
    return np.array([usual + float(found)])


@pytest.mark.parametrize("usual", [0.0, 10.0])
@pytest.mark.parametrize("k", [8, 24])
def test_a_run_does_not_stop_on_results_that_are_alike(threads, gate, usual, k):
    x = np.random.default_rng(0).uniform(size=(10 * k, 5))
    x[33] = 9.0
    run = dask_bacc.encode(x, k=k, n=k + 4).map(events, gate, usual, client=threads)
    held = [
        i
        for i, chunk in enumerate(dask_bacc.encode(x, k=k, n=k + 4).compute())
        if (chunk > 4).any()
    ]
    assert 3 in held
    wait_until(lambda: len(run.report.returned) == k + 4 - len(held))
    wait_until(lambda: run.report.solving > 0)
    assert run.status == "pending"
    Event(gate, client=threads).set()
    answer = run.result(timeout=60)
    np.testing.assert_array_equal(answer, usual + np.where(np.arange(k) == 3, 5.0, 0.0))


def unless_lost(block, lost, dtype):
    if chunk_here() in lost:
        raise OSError("lost")
    weights = np.random.default_rng(5).normal(size=(20, 50))
    return block.astype(dtype) @ weights


@pytest.mark.filterwarnings("ignore:the estimate is above rtol")
@pytest.mark.parametrize(
    ("dtype", "k", "n", "lost"),
    [
        ("f4", 16, 24, range(8)),
        ("f2", 16, 24, range(8)),
        ("f2", 8, 12, (1, 4)),
        ("f4", 32, 48, range(4, 16)),
        ("c8", 16, 24, range(8)),
        ("f4", 16, 24, range(4, 12)),
    ],
)
def test_rounding_of_parity_is_in_the_bar(threads, dtype, k, n, lost):
    x = np.random.default_rng(0).normal(size=(10 * k, 20)).astype(dtype)
    double = "c16" if dtype == "c8" else "f8"
    coded = dask_bacc.encode(x, k=k, n=n)
    run = coded.map(unless_lost, set(lost), double, rtol=1e-5, client=threads)
    answer = run.result(timeout=60)
    truth = x.astype(double) @ np.random.default_rng(5).normal(size=(20, 50))
    error = relative_error(answer, truth)
    assert error < 2 * run.report.error
    assert error < 0.05
