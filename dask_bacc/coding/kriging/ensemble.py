"""Fits of several families to one set of results, weighed by how well each explains them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dask_bacc.coding._typing import FloatArray, IndexArray
from dask_bacc.coding.kriging.cholesky import factorised
from dask_bacc.coding.kriging.fit import (
    HOPELESS,
    NOISE_EVIDENCE,
    Fit,
    fit_family,
    fit_noise,
    has_noise,
    is_rough,
)
from dask_bacc.coding.kriging.kernels import AFFINE, FAMILIES, Family, Geometry
from dask_bacc.coding.kriging.likelihood import effective_outputs
from dask_bacc.coding.kriging.observations import Observations

#: Families with less than this share of the posterior are left out.
SMALLEST_SHARE = 1e-3
#: Eigenvalues below this share of the largest are rounding.
RANK_TOLERANCE = 1e-13
#: Numbers in a result up to which noise may be there that results do not show.
FEW_OUTPUTS = 12
#: Hopeless families are not fitted again as results arrive, until their number has grown by this.
GROWTH = 1.5


@dataclass(frozen=True)
class Ensemble:
    """Fits of several families and their shares of the posterior."""

    fits: tuple[Fit, ...]
    #: one for every fit
    shares: FloatArray
    #: number of independent outputs that would scatter as the results' do
    effective_outputs: float
    #: the families that were last fitted all, and the number of results then
    families: frozenset[Family]
    fitted_all: int

    @property
    def best(self) -> Fit:
        """The fit with the largest share."""
        return self.fits[int(np.argmax(self.shares))]


def credible_families(geometry: Geometry, returned: IndexArray) -> tuple[Family, ...]:
    """The families that the results can contradict, or that leave something unknown.

    Affine and quadratic functions have so many coefficients, and no more. As long as results only
    just determine them, such a function explains whatever has come, and would be sure of blocks
    that it has no right to be sure of.

    Parameters
    ----------
    geometry : Geometry
        Of the returned chunks and of the points that are asked for, no two of them the same.
    returned : (m,) ndarray of int
        Which of them are the returned chunks.
    """
    unknown = len(geometry.inner) - len(returned)
    credible = []
    for family in (*FAMILIES, AFFINE):
        if family.finite:
            value, _ = family.shape(geometry, 0.0)
            everything = 1 + geometry.inner + value
            among = _rank(everything[np.ix_(returned, returned)])
            if among == len(returned) and (
                family is AFFINE or _rank(everything) < among + unknown
            ):
                continue
        credible.append(family)
    return tuple(credible)


def fit_ensemble(
    observations: Observations,
    families: Sequence[Family] = FAMILIES,
    previous: Ensemble | None = None,
    *,
    noise: bool = True,
) -> Ensemble:
    """Fit the families to results at points that differ.

    Parameters
    ----------
    observations : Observations
    families : sequence of Family
    previous : Ensemble, optional
        Fitted to fewer results of the same function; makes fitting faster.
    noise : bool
        Whether the function may be noisy.
    """
    count = float(observations.outputs)
    fitted_all = observations.count
    if (
        previous is None
        or observations.count > GROWTH * previous.fitted_all
        or not previous.families.issuperset(families)
        or not any(fit.family in families for fit in previous.fits)
    ):
        considered = frozenset(families)
        # One family tells how much outputs say; the others are searched but once.
        first = _fit_all(observations, count, {families[0]: None})[0]
        count = min(count, _effective_outputs(first, observations))
        starts = {family: first.start_for(family) for family in families}
        fits = _fit_all(observations, count, starts | {first.family: first.parameters})
    else:
        count, fitted_all = previous.effective_outputs, previous.fitted_all
        considered = previous.families
        kept = [fit for fit in previous.fits if fit.family in families]
        fits = _fit_all(observations, count, {f.family: f.parameters for f in kept})
    effective = _effective_outputs(min(fits, key=_cost), observations)
    fits = _within_reach(fits, effective)
    if effective < count / 2:
        # Outputs that move together say less than their number; the prior then has more to say.
        fits = _fit_all(observations, effective, {f.family: f.parameters for f in fits})
    if noise:
        fits = _with_noise(fits, observations, effective) or [
            *fits,
            *_maybe_noisy(fits, observations, effective),
        ]
    costs = np.array([fit.cost for fit in fits])
    shares = np.exp(-effective * (costs - costs.min()))
    shares[shares < SMALLEST_SHARE * shares.sum()] = 0
    return Ensemble(tuple(fits), shares / shares.sum(), effective, considered, fitted_all)


def _fit_all(
    observations: Observations, outputs: float, starts: Mapping[Family, FloatArray | None]
) -> list[Fit]:
    """One fit for each family; those that are hopeless beside an earlier one end early."""
    fits: list[Fit] = []
    for family, start in starts.items():
        lowest = min(map(_cost, fits), default=math.inf)
        fits.append(fit_family(family, observations, outputs, start, lowest))
    return fits


def _effective_outputs(fit: Fit, observations: Observations) -> float:
    """How many independent outputs would scatter as these do, were the fit the truth."""
    factor = factorised(fit.results_covariance(observations.geometry))
    return effective_outputs(factor, observations.gram, observations.outputs)


def _with_noise(fits: list[Fit], observations: Observations, outputs: float) -> list[Fit]:
    """Fits with noise, if the best one without takes it for roughness and is much less likely."""
    best = min(fits, key=_cost)
    if not is_rough(best, observations):
        return []
    noisy = [fit_noise(family, observations, outputs) for family in (FAMILIES[0], AFFINE)]
    return [
        fit
        for fit in noisy
        if outputs * (best.cost - fit.cost) > NOISE_EVIDENCE and has_noise(fit, observations)
    ]


def _maybe_noisy(fits: list[Fit], observations: Observations, outputs: float) -> list[Fit]:
    """Fits with noise that few outputs cannot exclude: what is not known of it is in the error."""
    if observations.outputs > FEW_OUTPUTS:
        return []
    families = dict.fromkeys([min(fits, key=_cost).family, AFFINE])
    noisy = [fit_noise(family, observations, outputs) for family in families]
    return [fit for fit in noisy if fit.noisy]


def _rank(matrix: FloatArray) -> int:
    return int(np.linalg.matrix_rank(matrix, hermitian=True, rtol=RANK_TOLERANCE))


def _within_reach(fits: list[Fit], outputs: float) -> list[Fit]:
    lowest = min(map(_cost, fits))
    return [fit for fit in fits if outputs * (fit.cost - lowest) < HOPELESS]


def _cost(fit: Fit) -> float:
    return fit.cost
