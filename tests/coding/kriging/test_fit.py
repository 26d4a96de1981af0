"""Searches for the likeliest parameters."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import check_grad, minimize

from dask_bacc.coding.kriging import ensemble
from dask_bacc.coding.kriging.fit import HIGHEST, LOWEST, NO_NOISE, Fit, Posterior, fit_family
from dask_bacc.coding.kriging.kernels import AFFINE, FAMILIES, Geometry
from dask_bacc.coding.kriging.observations import Observations
from dask_bacc.coding.kriging.search import Cost, descend
from dask_bacc.coding.patience import search_unless
from tests.strategies import four_outputs


@pytest.mark.parametrize("family", [*FAMILIES, AFFINE], ids=lambda family: family.name)
def test_gradients_of_the_posterior_are_those_of_differences(family):
    rng = np.random.default_rng(0)
    results = rng.normal(size=(6, 9))
    geometry = Geometry.of(rng.normal(size=(6, 4)), np.eye(4))
    posterior = Posterior(family, Observations(geometry, results @ results.T, 9), 9.0)
    for parameters in ([0.3, -0.2, 0.5, 0.4, -1.0], [-2.0, 1.0, 0.0, 0.0, -8.0]):
        difference = check_grad(
            lambda x: posterior.cost(x).value, lambda x: posterior.cost(x).slope, parameters
        )
        assert difference < 1e-4


@pytest.mark.parametrize("family", [*FAMILIES, AFFINE], ids=lambda family: family.name)
def test_the_information_is_the_second_derivative_where_the_parameters_are_true(family):
    """Results whose inner products are as the covariance has them."""
    geometry = Geometry.of(np.random.default_rng(0).normal(size=(6, 4)), np.eye(4))
    true = np.array([0.3, -0.2, 0.5, 0.4, -1.0])
    gram = 7 * Fit(family, true, 0.0).results_covariance(geometry)
    # With so many outputs the prior has no say.
    posterior = Posterior(family, Observations(geometry, gram, 9), 1e9)
    steps = 1e-5 * np.eye(5)
    second = [
        (posterior.cost(true + step).slope - posterior.cost(true - step).slope) / 2e-5
        for step in steps
    ]
    np.testing.assert_allclose(posterior.cost(true).information, second, atol=1e-6)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_searches_end_as_low_as_those_of_scipy(family):
    worse = 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        points = rng.normal(size=(12, 5)) + rng.normal(size=5)
        values = four_outputs(points)
        geometry = Geometry.of(points, np.eye(5) / np.mean((points**2).sum(axis=1)))
        posterior = Posterior(family, Observations(geometry, values @ values.T, 4), 4.0)
        start = np.array([0.0, 0.0, 0.0, family.log_length, NO_NOISE])
        bounds = [(LOWEST, HIGHEST)] * 3 + [(-4.0, 5.0), (NO_NOISE, NO_NOISE)]
        theirs = minimize(
            lambda x, posterior=posterior: posterior.cost(x)[:2],
            start,
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
        )
        ours = posterior.minimise(start, (NO_NOISE, NO_NOISE))
        # In nats; the search ends before a step that would gain less than a tenth of one.
        worse += 4 * (ours.cost - theirs.fun) > 0.5
    assert worse <= 2


def test_the_value_alone_is_that_of_the_cost():
    rng = np.random.default_rng(0)
    results = rng.normal(size=(6, 9))
    geometry = Geometry.of(rng.normal(size=(6, 4)), np.eye(4))
    posterior = Posterior(FAMILIES[0], Observations(geometry, results @ results.T, 9), 9.0)
    for nugget in (-1.0, LOWEST):
        parameters = np.array([0.3, -0.2, 0.5, 0.4, nugget])
        assert posterior.value(parameters) == pytest.approx(posterior.cost(parameters).value)


@pytest.mark.parametrize("information", [np.eye(2), np.full((2, 2), np.nan), np.zeros((2, 2))])
def test_a_search_that_gets_nowhere_ends(information):
    """Rounding may make every step look bad."""
    asked = []

    def rising(parameters):
        asked.append(parameters)
        return Cost(float(len(asked)), np.ones(2), information)

    start = np.zeros(2)
    found, value = descend(rising, start, start - 9, start + 9, lambda *_: False)
    np.testing.assert_array_equal(found, start)
    assert value == 1
    assert len(asked) < 10


def test_a_fit_that_is_broken_off_keeps_what_it_has_found(monkeypatch):
    """An exact linear function leaves nothing to the curved term."""
    rng = np.random.default_rng(0)
    points = rng.normal(size=(9, 3))
    values = points @ rng.normal(size=(3, 40)) + 1
    observations = Observations(Geometry.of(points, np.eye(3)), values @ values.T, 40)
    found = []

    def watched(*args):
        found.append(fit_family(*args))
        return found[-1]

    monkeypatch.setattr(ensemble, "fit_family", watched)
    with search_unless(lambda: bool(found)):
        (again,) = ensemble.fit_ensemble(observations, FAMILIES[:1]).fits
    np.testing.assert_array_equal(again.parameters, found[0].parameters)
