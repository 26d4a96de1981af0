"""What must hold of the reports, answers and errors of chaos draws: pure functions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import CancelledError

import numpy as np

import dask_bacc
from benchmarks.chaos.draws import Draw
from benchmarks.chaos.workload import Array

#: Error bars below this are not held to their word: what is there is rounding.
ROUNDING = 1e-6


def settled(report: dask_bacc.RunReport) -> bool:
    """Whether every chunk has ended."""
    return not {"waiting", "running"} & {chunk.state for chunk in report.chunks}


def report_failures(
    report: dask_bacc.RunReport, behave: Mapping[int, str], first_only: bool
) -> Iterator[str]:
    """What is untrue in the report of a run that is over.

    Parameters
    ----------
    report : RunReport
    behave : mapping
        How some chunks misbehave.
    first_only : bool
        Whether only the first attempts at them do.
    """
    returned, missing = set(report.returned), set(report.missing)
    if returned & missing:
        yield "a chunk both returned and is missing"
    if not set(report.erred) <= missing:
        yield "a chunk that raised is not missing"
    states = [chunk.state for chunk in report.chunks]
    if not (
        {i for i, state in enumerate(states) if state == "returned"} == returned
        and {i for i, state in enumerate(states) if state == "erred"} == set(report.erred)
    ):
        yield "the chunks' records differ from the report"
    if not settled(report):
        yield f"a run that is over has chunks {states}"
    odd = set(report.not_finite)
    if wrong := {chunk for chunk in odd if behave.get(chunk) != "nan"}:
        yield f"chunks {wrong} cannot have returned NaN"
    never = {chunk for chunk in returned - odd if behave.get(chunk) in ("raise", "nan", "deaf")}
    if wrong := never if not first_only else set():
        yield f"chunks {wrong} cannot have returned"
    expected = {
        "raise": ArithmeticError,
        "nan": dask_bacc.ResultError,
        "structure": dask_bacc.DecodeError,
    }
    # Which structure is the odd one depends on who was first.
    others = "structure" if "structure" in behave.values() else ""
    for chunk, exception in report.erred.items():
        kind = expected.get(behave.get(chunk, others))
        if kind is None or not isinstance(exception, kind):
            yield f"chunk {chunk} ended with {exception!r}"


def relative_error(answer: Array, truth: Array, results: Array) -> float:
    """RMS error over the RMS value of the results, the unit of `RunReport.error`."""
    return float(np.sqrt(np.mean((answer - truth) ** 2) / np.mean(results**2)))


def answer_failures(draw: Draw, report: dask_bacc.RunReport, actual: float) -> Iterator[str]:
    """What is wrong with an answer.

    Parameters
    ----------
    draw : Draw
    report : RunReport
        Which has an estimated error.
    actual : float
        The true error.
    """
    error, returned = report.error, len(report.returned)
    assert error is not None
    if actual > 3 * max(error, ROUNDING):
        yield (
            f"true error {actual:.2g}, estimated {error:.2g}, from {returned} of {draw.n} "
            f"results, k={draw.k}"
        )
    if report.stopped == "enough results":
        needed = draw.k if draw.enough is None else draw.enough
        if returned < needed:
            yield f"stopped with {returned} results of {needed}"
        if error > draw.rtol:
            yield f"stopped at {error} of {draw.rtol}"


def error_failures(draw: Draw, report: dask_bacc.RunReport, error: BaseException) -> Iterator[str]:
    """Whether a run had no reason to raise what it raised."""
    if isinstance(error, CancelledError):
        if "cancel" not in draw.kinds:
            yield "cancelled by nobody"
    elif isinstance(error, dask_bacc.DecodeError):
        odd = "structure" in draw.kinds and "different structure" in str(error)
        finite = len(report.returned) - len(report.not_finite)
        few = finite < max(draw.k, draw.enough or 0)
        if not (odd or few):
            yield f"unfounded: {error}"
    else:
        yield f"raised {type(error).__name__}: {error}"
