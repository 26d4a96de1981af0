"""Distances in which a function is about as steep in every direction, learnt from its results."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from dask_bacc.coding._typing import FloatArray
from dask_bacc.coding.kriging.ensemble import Ensemble
from dask_bacc.coding.kriging.fit import Fit
from dask_bacc.coding.kriging.fitted import Fitted
from dask_bacc.coding.kriging.kernels import Geometry

#: Coordinates up to which distances are learnt; each pair is a number to be learnt.
MOST_COORDINATES = 64
#: Times that distances are learnt from the fit that earlier ones gave.
ROUNDS = 3
#: Share of the steepest direction's steepness, squared, that every direction is given.
FLATTEST = 1e-2
#: Points of which every other one is enough to choose families.
ENOUGH = 100
#: Step of differences, in units of a squared RMS row.
STEP = 1e-5


@dataclass(frozen=True, eq=False)
class Stretched:
    """Covariances fitted to results at points whose space is stretched."""

    #: ``(d, d)`` matrix that points are multiplied by from the right; None for the identity
    stretch: FloatArray | None
    fitted: Fitted

    def of(self, points: FloatArray) -> FloatArray:
        """Points of the space as it was, where they are in the stretched one."""
        return points if self.stretch is None else points @ self.stretch


def fit_stretched(
    asked: FloatArray, given: FloatArray, values: FloatArray, previous: Stretched | None
) -> Stretched:
    """Fit to results, and stretch the space as long as the results are clearly likelier for it.

    Parameters
    ----------
    asked : (a, d) ndarray
        Points that are asked for, some of them.
    given : (m, d) ndarray
        Points with results, of an RMS norm of about 1.
    values : (m, p) ndarray
        The results.
    previous : Stretched, optional
        Fitted to fewer results of the same function.

    References
    ----------
    Radhakrishnan, Beaglehole, Pandit and Belkin, "Mechanism for feature learning in neural
    networks and backpropagation-free machine learning models", Science 383, 2024: the mean outer
    product of gradients as the metric. Each round must gain a nat for every number that it
    chooses (Akaike's criterion).
    """
    size, outputs = given.shape[1], values.shape[1]
    gram = values @ values.T
    if outputs > len(given):
        # As many outputs as there are results have the same inner products.
        values = _root(gram, 0.0)

    def fit(stretch: FloatArray | None, before: Ensemble | None, step: int = 1) -> Stretched:
        points = np.concatenate([asked, given[::step]])
        points = points if stretch is None else points @ stretch
        geometry = Geometry.of(points)
        some = gram[::step, ::step]
        return Stretched(stretch, Fitted.to(geometry, len(asked), some, outputs, before))

    if previous is None:
        rough = None
        if len(given) >= ENOUGH:
            # Half of the points tell as well which families are hopeless.
            rough = fit(None, None, step=2).fitted.ensemble
            rough = replace(rough, fitted_all=len(given))
        best = fit(None, rough)
    else:
        best = fit(previous.stretch, previous.fitted.ensemble)
    if size > MOST_COORDINATES:
        return best
    numbers = size * (size + 1) / 2
    for _ in range(ROUNDS):
        points, ensemble = best.of(given), best.fitted.ensemble
        if ensemble.best.family.finite:
            break
        steepness = _steepness(ensemble, points, values)
        if not np.trace(steepness) > 0:
            break
        root = _root(steepness, FLATTEST)
        stretch = root if best.stretch is None else best.stretch @ root
        stretch /= np.sqrt(np.mean(((given @ stretch) ** 2).sum(axis=1)))
        found = fit(stretch, ensemble)
        after = found.fitted.ensemble
        independent = min(ensemble.effective_outputs, after.effective_outputs)
        if not independent * (ensemble.best.cost - after.best.cost) > numbers:
            break
        best = found
    return best


def _root(matrix: FloatArray, least: float) -> FloatArray:
    """Symmetric square root, with this share of the largest eigenvalue added to all."""
    values, vectors = np.linalg.eigh(matrix)
    values = np.maximum(values, 0.0) + least * values[-1]
    root: FloatArray = (vectors * np.sqrt(values)) @ vectors.T
    return root


def _steepness(ensemble: Ensemble, points: FloatArray, values: FloatArray) -> FloatArray:
    """``(d, d)`` mean outer product of the estimate's gradients, sum over outputs."""
    geometry = Geometry.of(points)
    gradients = np.zeros((len(points), values.shape[1], points.shape[1]))
    for share, fit in zip(ensemble.shares, ensemble.fits, strict=True):
        if share > 0:
            explained = np.linalg.solve(fit.results_covariance(geometry), values)
            by_inner, by_norm = _slopes(fit, geometry)
            pulled = by_inner[:, None, :] * explained.T
            gradients += share * (pulled @ points)
            gradients += 2 * share * (by_norm @ explained)[:, :, None] * points[:, None, :]
    flat = gradients.reshape(-1, points.shape[1])
    steepness: FloatArray = flat.T @ flat / len(points)
    return steepness


def _slopes(fit: Fit, geometry: Geometry) -> tuple[FloatArray, FloatArray]:
    """Derivatives of the covariance by inner products and by the first points' squared norms."""

    def moved(inner: float, norm: float) -> FloatArray:
        there = replace(
            geometry,
            inner=geometry.inner + inner,
            squared_distance=np.maximum(geometry.squared_distance + norm - 2 * inner, 0.0),
            left=geometry.left + norm,
        )
        return fit.covariance(there)

    return (
        (moved(STEP, 0.0) - moved(-STEP, 0.0)) / (2 * STEP),
        (moved(0.0, STEP) - moved(0.0, -STEP)) / (2 * STEP),
    )
