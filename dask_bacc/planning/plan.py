"""The plan of a run: what every choice would cost, and which is best."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import dask
import numpy as np
from distributed import Client

from dask_bacc._config import configured
from dask_bacc.api import encode
from dask_bacc.array import CodedArray
from dask_bacc.coding import Code, get_code
from dask_bacc.coding.kriging.rounds_model import RoundsModel
from dask_bacc.coding.threads import one_thread
from dask_bacc.engine.recorded import recorded_tasks
from dask_bacc.planning.choices import Choice, choices
from dask_bacc.planning.forecast import Costs, Forecast, forecast, forecast_rounds
from dask_bacc.planning.shown import plan_html, plan_picture, plan_text
from dask_bacc.planning.smoothness import Foresight, bars_of
from dask_bacc.planning.survey import Survey, survey
from dask_bacc.planning.times import FEWEST, Lasted, drawn_from, lasted
from dask_bacc.policy.lateness import Patience
from dask_bacc.rounds import CodedRounds
from dask_bacc.run import CodedRun
from dask_bacc.runtime.client import resolve_client
from dask_bacc.runtime.monitors import monitor_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Share by which an answer must be sooner to be worth more work.
WORTH = 0.05
#: Rounds in which all choices are simulated, and those that may be best; times the best one's time
#: up to which one may be.
SCREEN, ROUNDS, PROMISING = 60, 400, 1.5
#: How many choices at the beginning of the list are always simulated with care.
ALWAYS = 2


@dataclass(frozen=True, eq=False)
class Plan:
    """What every choice of a run would cost, and which is best; made by `dask_bacc.plan`.

    Attributes
    ----------
    forecasts : tuple of Forecast
        One for every choice, with the error that is likely and the one that runs will estimate
        (``bar``), the median and 99th percentile of seconds to the answer, and its work over that
        of every block run once.
    best : Forecast
        The one that is recommended.
    rtol : float
        Error that is good enough.
    """

    forecasts: tuple[Forecast, ...]
    best: Forecast
    rtol: float
    k: int
    workers: int
    #: what was tried
    survey: Survey
    _arrays: tuple[Any, ...]
    _encoding: Mapping[str, Any]
    _call: tuple[Callable[..., Any], Sequence[Any], Mapping[str, Any]]
    _client: Client

    def encode(self) -> CodedArray[Any]:
        """The arrays in the code that is best."""
        choice = self.best.choice
        return encode(*self._arrays, k=self.k, n=choice.n, code=choice.code, **self._encoding)

    def map(self, **options: Any) -> CodedRun[Any]:
        """Start the run that is best; options are those of `CodedArray.map`."""
        func, args, kwargs = self._call
        chosen = {**self.best.choice.options, "rtol": self.rtol, "client": self._client}
        return self.encode().map(func, *args, **chosen | options, **kwargs)

    def rounds(self, **options: Any) -> CodedRounds:
        """Rounds of the function over persisted chunks; options are those of `CodedArray.rounds`.

        Its arguments are given to each round.
        """
        chosen = {**self.best.choice.options, "rtol": self.rtol, "client": self._client}
        with self._client.as_current():
            coded: Any = self.encode()
            rounds: CodedRounds = coded.persist().rounds(self._call[0], **chosen | options)
        return rounds

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw time against work, with the error of each choice.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            By default those of a new figure.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        return plan_picture(self.forecasts, self.best, self.rtol, ax)

    @property
    def _title(self) -> str:
        tried = len(self.survey.seconds)
        return (
            f"{self.k} blocks on {self.workers} threads, rtol={self.rtol:g}; {tried} chunks tried "
            f"in {self.survey.took:.2g} s; recommended: {self.best.choice.name}"
        )

    def __str__(self) -> str:
        return plan_text(self.forecasts, self.best, self._title)

    def __repr__(self) -> str:
        return f"<Plan: {self.best.choice.name}, of {len(self.forecasts)} choices>"

    def _repr_html_(self) -> str:
        return plan_html(self.forecasts, self.best, self._title)


def plan(
    x: Any,
    func: Callable[..., Any],
    *args: Any,
    kwargs: Mapping[str, Any] | None = None,
    k: int | None = None,
    workers: int | None = None,
    rtol: float | None = None,
    times: Any = None,
    copies: bool | None = None,
    memory: float | None = None,
    client: Client | None = None,
    **encoding: Any,
) -> Plan:
    """Say before a run which code and which options suit it, and what each would cost.

    Runs the function on a few blocks and mixtures of blocks on the cluster, fits how smooth it is,
    and simulates runs of every choice with the policies and the error estimates that real runs
    have. Data that is expensive to make should be persisted before.

    Parameters
    ----------
    x : dask.array.Array, numpy.ndarray or xarray.DataArray, or a tuple of them
        As in `encode`.
    func : callable
        As in `CodedArray.map`.
    *args
        Passed on to it.
    kwargs : mapping, optional
        Passed on to it by name.
    k : int, optional
        Number of blocks, as in `encode`.
    workers : int, optional
        Threads of the cluster that the run will have; by default those that it has now.
    rtol : float, optional
        Largest relative error that is good enough; by default the configured one
        (``bacc.rtol``). 0 for exact answers.
    times : object, optional
        Seconds of tasks: a frozen distribution of `scipy.stats`, an array of recorded seconds, a
        function of a generator and a count, or what `distributed.get_task_stream` has recorded. By
        default what tasks of this client's runs took of late, scaled to the function; else what
        the cluster's tasks took, if its dashboard has recorded them; else what the few that are
        tried take.
    copies : bool, optional
        Whether the function may run twice on a block; by default the configured one
        (``bacc.copies``).
    memory : float, optional
        Of a function that is mapped again and again and whose results are summed: the rounds over
        which results stay alike, 10 for arguments that move by a tenth of what changes them.
        Rounds that remember are among the choices then.
    client : distributed.Client, optional
        By default the current one.
    **encoding
        ``axis`` or ``dim``, as in `encode`.

    Returns
    -------
    Plan

    Raises
    ------
    TypeError, ValueError
        For a `func` that is not callable, and arguments out of their ranges.

    Examples
    --------
    >>> import numpy as np
    >>> import dask_bacc
    >>> x = np.random.default_rng(0).normal(size=(64, 5))
    >>> planned = dask_bacc.plan(x, np.tanh, k=8, workers=12, times=[1.0, 1.0, 1.0, 9.0])
    >>> planned.best.p50 < 9.0
    True
    >>> planned.map().result().shape
    (64, 5)
    """
    _check(func, workers, rtol, times, memory)
    client = resolve_client(client)
    arrays = tuple(x) if isinstance(x, tuple | list) else (x,)
    rtol = float(dask.config.get("bacc.rtol") if rtol is None else rtol)
    may_copy = bool(dask.config.get("bacc.copies") if copies is None else copies)
    blocks = encode(*arrays, k=k, **encoding).k
    group_size = dask.config.get("bacc.group-size")
    coded = encode(
        *arrays, k=blocks, n=blocks + max(blocks // 2, 1), code="systematic", **encoding
    )
    known = survey(coded, func, args, kwargs or {}, client)
    patience = configured(Patience, "bacc.backup")
    draw = drawn_from(times, known.seconds, _of_late(client, patience) if times is None else [])
    threads = sum(client.nthreads().values()) if workers is None else workers
    costs = Costs(threads, rtol, known.overhead, known.fit, patience)

    @cache
    def coded_by(name: str, n: int) -> tuple[Code, Foresight | None]:
        """A code, with the error that results of some of its chunks leave."""
        code = get_code(name, blocks, n, group_size=group_size)
        return code, None if known.smoothness is None else known.smoothness.error_with(code)

    def foresee(choice: Choice, rounds: int) -> Forecast:
        code, error = coded_by(choice.code, choice.n)
        if choice.remembers:
            assert memory is not None
            alone = bars_of(error)
            model = RoundsModel.usual(code, known.blocks_gram, math.log(memory), alone)
            return forecast_rounds(choice, code, draw, model, costs, rounds)
        return forecast(choice, code, draw, error, costs, rounds)

    considered = [
        choice
        for choice in choices(blocks, copies=may_copy, rounds=memory is not None)
        if choice.code != "systematic" or known.smoothness is not None
    ]
    with one_thread():
        forecasts = foresee_all(considered, foresee, rtol)
    best, call = best_of(forecasts, rtol), (func, args, kwargs or {})
    return Plan(
        tuple(forecasts), best, rtol, blocks, threads, known, arrays, encoding, call, client
    )


def _of_late(client: Client, patience: Patience) -> list[Lasted]:
    """How long tasks took of late: of the client's runs, else of anybody's."""
    late = monitor_of(client).speeds.recent(patience.minimum)
    return late if len(late) >= FEWEST else lasted(client.sync(recorded_tasks, client))


def _check(
    func: Any, workers: int | None, rtol: float | None, times: Any, memory: float | None
) -> None:
    """Refuse what is out of its range, before anything runs."""
    if not callable(func):
        raise TypeError(f"func must be callable, got {type(func).__name__}")
    if workers is not None and workers < 1:
        raise ValueError(f"workers must be at least 1, got {workers}")
    if rtol is not None and not rtol >= 0:
        raise ValueError(f"rtol must be at least 0, or inf for none, got {rtol}")
    if memory is not None and not memory > 0:
        raise ValueError(f"memory must be a positive number of rounds, got {memory}")
    drawn_from(times, [1.0], [])


def foresee_all(
    considered: Sequence[Choice], foresee: Callable[[Choice, int], Forecast], rtol: float
) -> list[Forecast]:
    """Forecasts of all choices, with more rounds for those that may be best, and what is plain."""
    forecasts = [foresee(choice, SCREEN) for choice in considered]
    limit = PROMISING * _time(best_of(forecasts, rtol))
    return [
        foresee(f.choice, ROUNDS) if place < ALWAYS or _time(f) <= limit else f
        for place, f in enumerate(forecasts)
    ]


def _time(f: Forecast) -> float:
    return f.p50 + f.p99


def best_of(forecasts: Sequence[Forecast], rtol: float) -> Forecast:
    """The soonest that is good enough, and of those nearly as soon the cheapest.

    Median and 99th percentile count the same.
    """
    good = [f for f in forecasts if f.bar <= rtol and np.isfinite(f.p99)] or [forecasts[0]]
    soonest = min(map(_time, good))
    near = [f for f in good if _time(f) <= (1 + WORTH) * soonest]
    cheapest = min(f.work for f in near)
    # Those that are simpler come first. Work is NaN of tasks that may never end.
    return next(f for f in near if not f.work > (1 + WORTH) * cheapest)
