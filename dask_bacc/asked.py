"""What was asked of a run: what is said, what is configured, and what may be meant otherwise."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import dask
from dask.base import annotate

from dask_bacc._config import configured
from dask_bacc.coding import Code
from dask_bacc.policy.lateness import Patience
from dask_bacc.policy.options import RunOptions
from dask_bacc.policy.timing import Timing

#: Options that are configured where nobody names them.
CONFIGURED = ("rtol", "decoder", "copies")


@dataclass(frozen=True)
class TaskOptions:
    """Options of runs whose tasks are run as they stand, as in `CodedArray.map`."""

    deadline: float | None
    copies: bool | None
    retries: int
    workers: str | Sequence[str] | None
    resources: Mapping[str, float] | None
    priority: int | None


def annotated(
    workers: str | Sequence[str] | None,
    resources: Mapping[str, float] | None,
    priority: int | None,
) -> AbstractContextManager[None]:
    """Tasks that are submitted meanwhile have these annotations, as far as they are said."""
    wishes = {"workers": workers, "resources": resources, "priority": priority}
    context: AbstractContextManager[None] = annotate(
        **{name: wish for name, wish in wishes.items() if wish is not None}
    )
    return context


def options_of(code: Code, said: Mapping[str, Any]) -> RunOptions:
    """Options of a run, checked, with what is configured in place of what is not said."""
    known = {
        name: dask.config.get(f"bacc.{name}") if value is None and name in CONFIGURED else value
        for name, value in said.items()
    }
    return RunOptions.checked(
        code,
        patience=configured(Patience, "bacc.backup"),
        timing=configured(Timing, "bacc.timing"),
        **known,
    )


def check_names(
    func: Callable[..., Any], said: Mapping[str, Any], method: Callable[..., Any]
) -> None:
    """Refuse options of a run that may be meant for the function, which has parameters so named.

    Parameters
    ----------
    func : callable
    said : mapping
        Options, with their values.
    method : callable
        Tells the values that options have where nobody says anything.

    Raises
    ------
    TypeError

    Examples
    --------
    >>> def run(func, rtol=None): ...
    >>> def solve(block, rtol=1e-6): ...
    >>> check_names(solve, {"rtol": None}, run)
    >>> check_names(solve, {"rtol": 1e-8}, run)
    Traceback (most recent call last):
    TypeError: rtol is an option of run and a parameter of solve: pass kwargs={'rtol': ...} for \
the function's, or kwargs={} as well if the run's is meant
    """
    try:
        parameters = inspect.signature(func).parameters
    except (TypeError, ValueError):  # of some built-in functions nothing is known
        return
    defaults = inspect.signature(method).parameters
    for name, value in said.items():
        if name in parameters and value != defaults[name].default:
            raise TypeError(
                f"{name} is an option of {method.__name__} and a parameter of "
                f"{getattr(func, '__name__', func)}: pass kwargs={{{name!r}: ...}} for the "
                "function's, or kwargs={} as well if the run's is meant"
            )
