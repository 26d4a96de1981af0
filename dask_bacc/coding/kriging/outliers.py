"""Finding results that a smooth function cannot have returned."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dask_bacc.coding._typing import FloatArray, IndexArray
from dask_bacc.coding.kriging.alike import say_little
from dask_bacc.coding.kriging.conditioned import Conditioned
from dask_bacc.coding.kriging.ensemble import Ensemble, fit_ensemble
from dask_bacc.coding.kriging.explained import Explained
from dask_bacc.coding.kriging.fit import fit_family, fit_noise
from dask_bacc.coding.kriging.kernels import FAMILIES, Family
from dask_bacc.coding.kriging.observations import Observations
from dask_bacc.coding.patience import out_of_time

#: Largest leave-one-out residual, squared and in units of its variance, that is not looked into.
ORDINARY = 2.2
#: The same for a result that is put aside, beside the price below.
EXTRAORDINARY = 5.0
#: Gain in the log posterior that putting a result aside must bring.
PRICE = 12.0
#: The same in units of the mean square by which the other results differ from their mean. Where a
#: function is steeper than elsewhere, honest results are far outside a variance that is tiny.
SUBSTANTIAL = 0.5
#: Errors of left-out results, over the RMS value of all, below which they are explained exactly.
EXACT = 1e-6
#: Results that are put aside in vain before the search ends.
PATIENCE = 2


def find_outliers(
    observations: Observations,
    ensemble: Ensemble,
    most: int,
    families: Sequence[Family] = FAMILIES,
    *,
    trusting: bool = False,
) -> IndexArray:
    """Positions of results that look corrupted, ascending.

    Results are put aside one by one, always the one that the others predict worst. Of the sets so
    found that one is chosen under which everything is likeliest: the others as a function's
    values, those put aside as unrelated numbers of their own size, at a price for each. Errors
    much smaller than what results differ by are taken for the function's.

    Where the others explain each other exactly or are alike, one that is not says that the
    function is different there, as counts, masks, clips, flags and saturated curves are.

    Parameters
    ----------
    observations : Observations
        At points that differ.
    ensemble : Ensemble
        Fitted to them.
    most : int
        Most results to put aside.
    families : sequence of Family
    trusting : bool
        Whether linear and polynomial functions that explain the others exactly are believed in all
        the same.
    """
    nothing = np.zeros(0, dtype=np.intp)
    if most < 1 or out_of_time():
        return nothing
    if Explained.by(ensemble.best, observations).residuals.max() < ORDINARY:
        return nothing
    order, costs = _worst_first(observations, most)
    if len(costs) == 1:
        return nothing
    cleanest = fit_ensemble(observations.among(_others(observations, order)), families)
    # A cleaned fit can be so good that only rounding is left, which says nothing of the outputs.
    outputs = max(cleanest.effective_outputs, np.cbrt(observations.outputs))
    count = int(np.argmin(outputs * costs + PRICE * np.arange(len(costs))))
    aside = np.sort(order[:count])
    if not count:
        return nothing
    kept = observations.among(_others(observations, aside))
    clean = fit_ensemble(kept, families)
    conditioned = Conditioned.on(clean, kept)
    exact = conditioned.left_out().sum() <= EXACT**2 * np.trace(kept.gram)
    if (exact and not trusting) or (kept.values is not None and say_little(kept.values)):
        return nothing
    gain = ensemble.best.cost - clean.best.cost - _unrelated(observations, aside)
    if outputs * gain < PRICE * count:
        return nothing
    error, variance = _prediction(observations, conditioned, aside)
    return aside[(error > EXTRAORDINARY * variance) & (error > SUBSTANTIAL * kept.spread)]


def _worst_first(observations: Observations, most: int) -> tuple[IndexArray, FloatArray]:
    """Results in the order in which they are put aside, and the cost after each."""
    # One family with noise is enough to see what stands out, even where it is not the best one.
    family, outputs = FAMILIES[0], float(observations.outputs)
    order: list[int] = []
    costs: list[float] = []
    start = None
    while True:
        others = _others(observations, order)
        kept = observations.among(others)
        plain = fit_family(family, kept, outputs, start)
        fit = min(plain, fit_noise(family, kept, outputs), key=lambda fit: fit.cost)
        start = plain.parameters
        costs.append(fit.cost + _unrelated(observations, order))
        if len(order) == most or len(costs) - 1 - int(np.argmin(costs)) >= PATIENCE:
            return np.array(order, dtype=np.intp), np.array(costs)
        if out_of_time():
            return np.zeros(0, dtype=np.intp), np.zeros(1)
        order.append(int(others[np.argmax(Explained.by(fit, kept).residuals)]))


def _others(observations: Observations, aside: IndexArray | list[int]) -> IndexArray:
    return np.setdiff1d(np.arange(observations.count), aside)


def _unrelated(observations: Observations, aside: IndexArray | list[int]) -> float:
    """Cost of results as numbers that nothing relates to, per output."""
    squares = np.diag(observations.gram)[aside]
    return 0.5 * float(np.log(np.maximum(squares, np.finfo(float).tiny)).sum())


def _prediction(
    observations: Observations, clean: Conditioned, aside: IndexArray
) -> tuple[FloatArray, FloatArray]:
    """Squared errors of what the others predict, and their variances, sums over outputs."""
    others = _others(observations, aside)
    geometry = observations.geometry
    weights, variance = clean.predict(geometry.between(aside, others), geometry.among(aside))
    variance = observations.outputs * (variance + clean.noise_variance())
    contrast = np.zeros((len(aside), observations.count))
    contrast[:, others] = -weights
    contrast[np.arange(len(aside)), aside] = 1
    error: FloatArray = np.einsum("ij,jk,ik->i", contrast, observations.gram, contrast)
    return error, variance
