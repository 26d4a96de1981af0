"""Plans on a cluster: what they say, and that runs go by it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import dask_bacc
from dask_bacc.planning.choices import Choice, choices
from dask_bacc.planning.forecast import Forecast
from dask_bacc.planning.plan import best_of, foresee_all
from tests.shared import relative_error

RNG = np.random.default_rng(0)
MIXING, WEIGHTS = RNG.normal(size=(10, 10)) / 3, RNG.normal(size=(20, 60)) / 6
ANGLE = np.pi * (np.arange(8) + 0.5)[:, None, None] / 8
FIRST, SECOND = RNG.normal(size=(2, 10, 20))
X = (FIRST + np.cos(ANGLE) * SECOND).reshape(-1, 20)
HEAVY = stats.pareto(1.5, scale=0.5)


@pytest.fixture(autouse=True)
def few_rounds(monkeypatch):
    """A fifth of the runs that are simulated: what is said here differs by more than chance."""
    monkeypatch.setattr("dask_bacc.planning.plan.ROUNDS", 80)


def linear(block):
    return MIXING @ block @ WEIGHTS


def smooth(block):
    return np.tanh(MIXING @ block @ WEIGHTS)


def rough(block, scale=1e3):
    return np.sign(np.sin(scale * block.sum(axis=1)))


def named(planned):
    return {f.choice.name: f for f in planned.forecasts}


@pytest.mark.parametrize("func", [linear, smooth])
def test_parity_is_planned_for_functions_that_it_serves(client, func):
    planned = dask_bacc.plan(X, func, k=8, workers=12, times=HEAVY, client=client)
    assert planned.best.choice.code == "systematic"
    assert planned.best.error <= planned.rtol
    answer = planned.map().result(timeout=60)
    truth = np.concatenate([func(block) for block in np.split(X, 8)])
    assert relative_error(answer, truth) < 3e-3
    found = named(planned)
    assert found["plain Dask"].p99 > 3 * planned.best.p99
    # The arrays are encoded as planned.
    assert planned.encode().n == planned.best.choice.n


def test_copies_are_planned_where_nothing_tells_of_a_block(client):
    planned = dask_bacc.plan(
        X, rough, k=8, workers=12, times=HEAVY, kwargs={"scale": 2e3}, client=client
    )
    assert planned.best.choice.name == "copies"
    assert planned.best.error == 0
    truth = np.concatenate([rough(block, 2e3) for block in np.split(X, 8)])
    np.testing.assert_array_equal(planned.map().result(timeout=60), truth)
    # Nor may it run twice: then there is nothing but waiting, or as many chunks again.
    planned = dask_bacc.plan(
        X, rough, k=8, workers=8, times=HEAVY, rtol=0, copies=False, client=client
    )
    assert "copies" not in named(planned)
    assert planned.best.error == 0


@pytest.mark.parametrize("everywhere", [True, False])
def test_functions_that_give_nan_are_planned_for(client, everywhere):
    first = X[0, 0]

    def gaps(block):
        found = smooth(block)
        found[0, 0] = np.nan if everywhere or block[0, 0] == first else 0.0
        return found

    planned = dask_bacc.plan(X, gaps, k=8, workers=12, times=HEAVY, client=client)
    # What is lost where every result has a gap cannot be decoded.
    assert (planned.best.choice.name == "copies") == everywhere
    answer = planned.map().result(timeout=60)
    assert np.isnan(answer).sum() == (8 if everywhere else 1)


def test_plain_dask_is_planned_where_all_tasks_are_alike(client):
    planned = dask_bacc.plan(X, smooth, k=8, workers=8, times=[1.0], client=client)
    assert planned.best.choice.name == "plain Dask"
    assert planned.best.work == pytest.approx(1.0)
    assert planned.best.p50 == pytest.approx(1.0, abs=0.5)


def moved(block, weights):
    return np.sin(9 * block.T @ np.tanh(block @ weights))


def test_rounds_are_planned_for_functions_that_are_mapped_again_and_again(client):
    """If results stay alike for long, and not if they never do."""
    weights = np.ones(20)
    options = {"k": 8, "workers": 12, "times": HEAVY, "rtol": 0.05, "client": client}
    planned = dask_bacc.plan(X, moved, weights, memory=100.0, **options)
    found = named(planned)
    assert planned.best.choice.remembers
    assert planned.best.error <= 0.05
    assert planned.best.p50 < 0.8 * found["parity, 4 more"].p50
    rounds = planned.rounds()
    for turn in range(3):
        run = rounds(weights * (1 + turn / 1000))
        total = run.result(timeout=60)
    truth = np.sum([moved(block, weights * 1.002) for block in np.split(X, 8)], axis=0)
    assert relative_error(total, truth) < max(3 * run.report.error, 1e-12)
    forgetful = dask_bacc.plan(X, moved, weights, memory=0.01, **options)
    assert named(forgetful)["parity, 4 more, rounds"].p50 > 1.2 * planned.best.p50


def sine(block):
    return np.sin(2 * (MIXING @ block @ WEIGHTS))


@pytest.mark.parametrize("func", [smooth, sine])
def test_the_error_is_what_estimates_will_be(client, func):
    planned = dask_bacc.plan(X, func, k=8, workers=12, rtol=0.1, times=HEAVY, client=client)
    code = dask_bacc.coding.get_code("systematic", 8, 12)
    foreseen = planned.survey.smoothness.error_with(code)
    chunks = code.encode(X.reshape(8, 10, 20))
    gram = X.reshape(8, -1) @ X.reshape(8, -1).T
    ratios = []
    for seed in range(12):
        kept = np.random.default_rng(seed).permutation(12)[:9].tolist()
        results = {i: func(chunks[i]) for i in kept}
        decoded = dask_bacc.coding.decode(code, results, gram=gram)
        size = np.sqrt(np.mean(np.square(list(results.values()))))
        ratios.append(foreseen(kept).bar / (np.sqrt(np.mean(decoded.error**2)) / size))
    assert 0.4 < np.median(ratios) < 2.5


def test_tables_and_pictures(client):
    planned = dask_bacc.plan(X, rough, k=8, workers=12, times=HEAVY, client=client)
    text, html = str(planned), planned._repr_html_()
    for f in planned.forecasts:
        assert f.choice.name in text
        assert f.choice.name in html
    assert "recommended: copies" in text
    (line,) = [line for line in text.splitlines() if line.startswith(">")]
    assert line.split()[1] == "copies"
    ax = planned.plot()
    assert [tick.get_text() for tick in ax.get_yticklabels()] == [
        f.choice.name for f in planned.forecasts
    ]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"times": "fast"}, TypeError, "times must be a distribution"),
        ({"times": []}, ValueError, "at least one task"),
        ({"times": [-1.0]}, ValueError, "none negative"),
        ({"workers": 0}, ValueError, "workers must be at least 1"),
        ({"rtol": -1.0}, ValueError, "rtol must be at least 0"),
        ({"k": 7}, ValueError, "8"),
        ({"memory": 0.0}, ValueError, "memory must be a positive number of rounds"),
    ],
)
def test_bad_input(client, options, error, message):
    with pytest.raises(error, match=message):
        dask_bacc.plan(X, rough, client=client, **{"k": 8, **options})
    with pytest.raises(TypeError, match="func must be callable"):
        dask_bacc.plan(X, 3, k=8, client=client)


def made(name, error=0.0, p50=1.0, p99=2.0, work=1.0):
    return Forecast(Choice(name, "uncoded", 8), error, error, p50, p99, work)


@pytest.mark.parametrize(
    ("forecasts", "best"),
    [
        # The soonest of those that are good enough,
        ([made("a", p99=9.0), made("b", error=1e-4), made("c", error=0.1, p50=0.1)], "b"),
        # and of those nearly as soon the cheapest, or the first of them.
        ([made("a", work=1.5), made("b", p50=1.1), made("c", p50=1.1)], "b"),
        ([made("a", work=1.04), made("b")], "a"),
        # If none is, waiting is.
        ([made("a", p99=np.inf), made("b", error=1.0)], "a"),
    ],
)
def test_which_is_best(forecasts, best):
    assert best_of(forecasts, 1e-3).choice.name == best


def test_those_that_may_be_best_are_simulated_with_care():
    asked = []

    def foresee(choice, rounds):
        asked.append((choice.name, rounds))
        p50 = 9.0 if choice.name.endswith("backup") else 1.0
        return Forecast(choice, 0.0, 0.0, p50, 2.0, 1.0)

    found = foresee_all(choices(4), foresee, 1e-3)
    assert [f.choice for f in found] == choices(4)
    often = {name for name, rounds in asked if rounds == max(r for _, r in asked)}
    assert {"plain Dask", "copies"} <= often
    assert not any(name.endswith("backup") for name in often)
