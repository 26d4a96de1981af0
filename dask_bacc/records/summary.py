"""What is left of a run for those who watch a cluster: plain values that anybody can read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

from dask_bacc.records.state import RunState

#: Topic of the scheduler's events under which clients say how their runs ended.
TOPIC = "bacc-runs"


class Summary(TypedDict):
    """How a run ended."""

    run: str
    k: int
    n: int
    decoder: str
    #: number of chunks whose results were in
    returned: int
    #: why decoding started, or that there is no answer
    stopped: str
    #: estimated relative error of the answer; None if there is none, or nothing tells it
    error: float | None
    seconds: float
    #: workers with what was the matter with them
    troubles: dict[str, str]
    #: workers with the times the usual duration that they took, in late runs
    slow: dict[str, float]


def summary(state: RunState, slow: Mapping[str, float]) -> Summary:
    """How a run ended.

    Parameters
    ----------
    state : RunState
        Of a run that is over.
    slow : mapping of str to float
        Workers that are slow, with their times the usual duration.

    Examples
    --------
    >>> state = RunState(k=2, n=3, decoder="least squares", clock=lambda: 0.0)
    >>> state.finish()
    >>> summary(state, {})["stopped"]
    'no answer'
    """
    return Summary(
        run=state.name,
        k=state.k,
        n=state.n,
        decoder=state.decoder,
        returned=len(state.returned),
        stopped=str(state.stopped) if state.answered and state.stopped else "no answer",
        error=None if state.error is None else float(state.error),
        seconds=state.elapsed if state.finished is None else state.finished,
        troubles=dict(state.troubles),
        slow=dict(slow),
    )
