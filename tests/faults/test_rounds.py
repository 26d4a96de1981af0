"""Rounds whose earlier results stay on workers, some of which are lost."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest

import dask_bacc
from tests.faults.work import DEADLINE, X, wide


def scaled(block, factor):
    return wide(factor * block)


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGSTOP])
def test_old_results_are_lost_with_a_worker(start, nothing_left, configure, hang, sign):
    """Sums are made of those that are left, and what the lost worker had is forgotten."""
    configure({"bacc.gather-limit": "100 B"})
    with start(4).client() as client, nothing_left(client):
        coded = dask_bacc.encode(X, k=8, n=12).persist()
        rounds = coded.rounds(scaled, rtol=0.05, enough=4, client=client)
        for turn in range(2):
            rounds(1 + turn / 100).result(timeout=DEADLINE)
        pid = max(client.run(os.getpid).values())
        if sign == signal.SIGSTOP:
            hang(pid)
        else:
            os.kill(pid, sign)
        for turn in range(2, 4):
            run = rounds(1 + turn / 100)
            total = run.result(timeout=DEADLINE)
            exact = sum(wide((1 + turn / 100) * block) for block in np.split(X, 8))
            error = np.linalg.norm(total - exact) / np.linalg.norm(exact)
            assert error <= max(3 * run.report.error, 1e-12)
            assert run.report.error <= 0.05
        del run, rounds, coded


def test_sums_of_results_on_workers_are_those_of_results_here(start, nothing_left, configure):
    with start(4).client() as client, nothing_left(client):
        coded = dask_bacc.encode(X, k=8, n=12).persist()
        answers = []
        for limit in ("1 MiB", "100 B"):
            configure({"bacc.gather-limit": limit})
            rounds = coded.rounds(scaled, rtol=0, client=client)
            for turn in range(2):
                run = rounds(1 + turn / 100)
                answers.append(run.result(timeout=DEADLINE))
        np.testing.assert_allclose(answers[:2], answers[2:], rtol=1e-12)
        del run, rounds, coded
