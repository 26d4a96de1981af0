"""What a choice would cost: the simulator of runs, with the errors that kriging foresees."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from dask_bacc.coding import Code, get_decoder
from dask_bacc.coding._typing import FloatArray
from dask_bacc.coding.kriging.rounds_model import RoundsModel
from dask_bacc.planning.choices import Choice
from dask_bacc.planning.smoothness import Foreseen, Foresight, bars_of
from dask_bacc.planning.times import Draw
from dask_bacc.policy.iterated import simulate_rounds
from dask_bacc.policy.lateness import Patience
from dask_bacc.policy.simulator import simulate
from dask_bacc.policy.stop import is_complete

#: Attempts at a chunk that are drawn, and chunks to a block.
ATTEMPTS, MOST = 4, 2
#: Share of a run's own seconds in which its chunks start, one after the other.
STARTING = 0.5
#: Rounds after which those that remember are as they go on to be.
SETTLED = 5


@dataclass(frozen=True)
class Forecast:
    """What a choice would cost."""

    choice: Choice
    #: root of the mean square of the error that is likely, and of what runs will estimate
    error: float
    bar: float
    #: median and 99th percentile of seconds to the answer
    p50: float
    p99: float
    #: seconds of workers over those of every block run once
    work: float


@dataclass(frozen=True)
class Costs:
    """What is the same for all choices."""

    #: threads that take chunks
    workers: int
    #: error that is good enough
    rtol: float
    #: seconds of every run beside its functions, and of those that estimate
    overhead: float
    fit: float
    patience: Patience


def forecast(
    choice: Choice,
    code: Code,
    draw: Draw,
    error_of: Foresight | None,
    costs: Costs,
    rounds: int,
) -> Forecast:
    """Simulate runs of a choice.

    Parameters
    ----------
    choice : Choice
    code : Code
        Of the choice.
    draw : callable
        Seconds of tasks.
    error_of : callable, optional
        The error that results of some chunks leave; not needed of codes that mix nothing.
    costs : Costs
    rounds : int
    """
    mixes = bool((code.own_blocks < 0).any())
    foreseen = error_of if mixes else None
    seconds, errors, spent, usual = [], [], [], []
    for times in _rounds(draw, code.k, rounds, STARTING * costs.overhead):
        run = simulate(
            code,
            get_decoder(None, code),
            partial(_seconds, times),
            workers=costs.workers,
            enough=choice.enough or code.k,
            patience=costs.patience if choice.launch == "backup" else None,
            copies=costs.patience if choice.copies else None,
            exact=costs.rtol == 0,
            error=bars_of(foreseen),
            rtol=costs.rtol,
        )
        returned = [i for i, record in enumerate(run.records) if record.state == "returned"]
        exact = is_complete(code, returned)
        errors.append(Foreseen(0.0, 0.0) if exact or foreseen is None else foreseen(returned))
        seconds.append(run.seconds + costs.overhead + (0.0 if exact else costs.fit))
        spent.append(run.worker_seconds)
        usual.append(times[0, : code.k].sum())
    p50, p99 = np.quantile(seconds, [0.5, 0.99])
    bar, likely = np.sqrt(np.mean(np.square(errors), axis=0))
    return Forecast(
        choice,
        float(likely),
        float(bar),
        float(p50),
        float(p99),
        float(np.sum(spent) / np.sum(usual)),
    )


def forecast_rounds(
    choice: Choice, code: Code, draw: Draw, model: RoundsModel, costs: Costs, rounds: int
) -> Forecast:
    """Simulate rounds that remember, one after the other.

    Parameters
    ----------
    choice, code, draw, costs, rounds
        As in `forecast`.
    model : RoundsModel
        How far off a round is.
    """
    drawn = list(_rounds(draw, code.k, rounds, STARTING * costs.overhead))
    found = simulate_rounds(
        code,
        get_decoder(None, code),
        lambda turn: partial(_seconds, drawn[turn]),
        model,
        rounds=rounds,
        workers=costs.workers,
        enough=choice.enough or code.k,
        rtol=costs.rtol,
        copies=costs.patience if choice.copies else None,
        overhead=costs.overhead,
    )
    # The first ones have little to remember.
    later = found[SETTLED:]
    seconds = [one.run.seconds + (costs.fit if one.error else 0.0) for one in later]
    p50, p99 = np.quantile(seconds, [0.5, 0.99])
    usual = sum(float(times[0, : code.k].sum()) for times in drawn[SETTLED:])
    error = float(np.sqrt(np.mean([one.error**2 for one in later])))
    return Forecast(
        choice,
        error,
        error,
        float(p50),
        float(p99),
        sum(one.run.worker_seconds for one in later) / usual,
    )


def _rounds(draw: Draw, k: int, rounds: int, stagger: float) -> Iterator[FloatArray]:
    """Seconds of chunks, attempt by attempt: the same for all choices, so that they compare.

    Chunks start within `stagger` seconds, one after the other: those that take the same time come
    one by one, and runs stop with the first that are enough.
    """
    rng, starts = np.random.default_rng(0), np.random.default_rng(1)
    shape = ATTEMPTS, MOST * k
    for _ in range(rounds):
        times = draw(rng, ATTEMPTS * MOST * k).reshape(shape)
        yield times + starts.uniform(0.0, stagger, shape)


def _seconds(times: FloatArray, chunk: int, _worker: int, attempt: int) -> float:
    """Of an attempt at a chunk, by a table of them."""
    return float(times[min(attempt, len(times) - 1), chunk])
