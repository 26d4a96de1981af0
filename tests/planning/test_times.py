"""Where a plan has the seconds of tasks from."""

from __future__ import annotations

import time

import numpy as np
import pytest
from distributed import Client, get_task_stream, wait
from scipy import stats

import dask_bacc
from dask_bacc.planning.times import drawn_from
from dask_bacc.runtime.monitors import monitor_of
from tests.shared import local_cluster, wait_until

RNG = np.random.default_rng(0)
#: Of which one in eight takes eight times as long; a busy machine adds tens of milliseconds.
SECONDS = RNG.permutation(np.repeat([0.1, 0.8], [35, 5]))


def takes(seconds):
    time.sleep(seconds)


@pytest.fixture
def fresh():
    """A cluster of which nobody knows anything yet."""
    with local_cluster(4) as cluster, Client(cluster) as client:
        yield client


def work(client):
    wait(client.map(takes, SECONDS, pure=False))


def measured(block):
    time.sleep(0.2)
    return np.tanh(block)


def planned(client, **options):
    return dask_bacc.plan(np.ones((8, 2)), measured, k=4, rtol=1.0, client=client, **options)


def shares(draw):
    """Of those that take long, which are one in eight."""
    drawn = draw(np.random.default_rng(1), 2000)
    return np.mean(drawn > 4 * np.median(drawn))


def test_a_recorded_task_stream_is_a_law(fresh):
    with get_task_stream(fresh) as stream:
        work(fresh)
    draw = drawn_from(stream.data, [2.0], [])
    assert np.median(draw(RNG, 2000)) == pytest.approx(2.0, rel=0.2)
    assert shares(draw) == pytest.approx(1 / 8, abs=0.03)
    # It is among those that plans take.
    assert planned(fresh, times=stream.data).forecasts
    with pytest.raises(ValueError, match="record at least 20"):
        planned(fresh, times=stream.data[:3])


def test_a_plan_knows_what_the_dashboard_has_recorded(fresh):
    work(fresh)
    planned(fresh)
    before = planned(fresh).forecasts[0]
    # Nobody records because of a plan.
    assert "task-stream" not in fresh.run_on_scheduler(
        lambda dask_scheduler: list(dask_scheduler.plugins)
    )
    fresh.get_task_stream()
    work(fresh)
    after = planned(fresh).forecasts[0]
    # Without those of one in eight, all tasks are taken to be alike.
    assert after.p99 / after.p50 > 2 * before.p99 / before.p50


def test_what_was_cancelled_would_have_taken_longer():
    """By the law of SciPy's own draws, of which all that is beyond a limit is cancelled."""
    law = stats.pareto(1.5)
    seconds, limits = (
        law.rvs(4000, random_state=0),
        1 + stats.expon(scale=4).rvs(4000, random_state=1),
    )
    late = [(min(s, limit), s <= limit) for s, limit in zip(seconds, limits, strict=True)]
    found = drawn_from(None, [1.0], late)(np.random.default_rng(2), 20_000)
    for share in (0.5, 0.9, 0.95):
        assert np.quantile(found, share) == pytest.approx(law.ppf(share), rel=0.15)
    # Those that ended alone would say less.
    assert np.quantile([s for s, through in late if through], 0.95) < 0.7 * law.ppf(0.95)


def sometimes_late(block, late):
    # Longer than what counts as an instant.
    time.sleep(1.2 if float(block[0, 0]) in late else 0.12)
    return np.tanh(block)


def test_a_plan_learns_from_runs_and_what_they_cancelled(fresh):
    coded = dask_bacc.encode(np.arange(16.0).reshape(8, 2), k=4, n=6)
    for _ in range(6):
        coded.map(sometimes_late, [0.0], rtol=np.inf, client=fresh).result(timeout=60)
    speeds = monitor_of(fresh).speeds
    # Those that were cancelled go on to their end.
    wait_until(lambda: max(times for times, _ in speeds.recent(0.1)) > 4)
    # One chunk in six: every other run of four blocks has one. Beside the usual, not in seconds.
    found = planned(fresh)
    usual = np.median(found.survey.seconds)
    assert found.forecasts[0].p99 / usual == pytest.approx(1.2 / 0.12, rel=0.3)
