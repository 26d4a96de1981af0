"""What can go wrong with a run."""

from __future__ import annotations

import re
from typing import Any

from dask_bacc.records.events import Stop
from dask_bacc.records.report import RunReport

#: Files whose frames come before those of a function.
OURS = re.compile(
    r"[/\\](dask_bacc[/\\](worker|graphs)|site-packages[/\\](dask|distributed))[/\\]"
)


class DecodeError(RuntimeError):
    """The results that came back give no answer.

    Attributes
    ----------
    report : RunReport
        Who returned, who did not, and what they raised. The first exception of a chunk, if there
        was one, is this error's ``__cause__``.
    results : dict of int to object
        What chunks returned, as far as it is here; that of a chunk which is a block as it stands
        (``code.own_blocks``) is the block's own. It does not travel with a pickled error.
    """

    def __init__(self, message: str, report: RunReport) -> None:
        super().__init__(message)
        self.report = report
        self.results: dict[int, Any] = {}

    def __reduce__(self) -> tuple[type[DecodeError], tuple[str, RunReport]]:
        return type(self), (str(self), self.report)


class CombineError(ValueError):
    """Results that have come cannot be put together as was asked.

    Attributes
    ----------
    report : RunReport
    results : dict of int to object
        As in `DecodeError`.
    """

    def __init__(self, message: str, report: RunReport, results: dict[int, Any]) -> None:
        super().__init__(message)
        self.report = report
        self.results = results

    def __reduce__(self) -> tuple[type[CombineError], tuple[str, RunReport, dict[int, Any]]]:
        return type(self), (str(self), self.report, {})


class ResultError(ValueError):
    """A chunk's result cannot be decoded, for it has NaN or infinity: it is set aside."""


class RefusedError(ValueError):
    """What no chunk of a run may bring, for arithmetic on it is wrong: the run ends with it."""


def without_ours(error: BaseException | None) -> BaseException | None:
    """What a function raised, from its own first frame on."""
    if error is None:
        return None
    frames = error.__traceback__
    while frames is not None and OURS.search(frames.tb_frame.f_code.co_filename):
        frames = frames.tb_next
    return error if frames is None else error.with_traceback(frames)


def refused(report: RunReport, chunk: int, cause: BaseException) -> DecodeError:
    """The error that says what a chunk brought, with the chunk's own as its cause."""
    error = DecodeError(f"chunk {chunk} is refused: {cause}", report)
    error.__cause__ = cause
    return error


def misfit(report: RunReport, first: int, expected: str, chunk: int, found: str) -> DecodeError:
    """The error that says how a chunk's result differs from the first in structure."""
    return DecodeError(
        "chunks returned results of different structure: "
        f"chunk {first} {expected}, chunk {chunk} {found}",
        report,
    )


def no_answer(report: RunReport, reason: str, *, integers: bool) -> DecodeError:
    """The error that says why, with the first exception of a chunk as its cause.

    Parameters
    ----------
    report : RunReport
    reason : str
    integers : bool
        Whether blocks are of integers or booleans, which arrive as float64.
    """
    message = f"no answer: {len(report.returned)} of {report.n} chunks returned, and {reason}"
    if report.suspects:
        message += f"; chunks {', '.join(map(str, report.suspects))} look corrupted"
    if report.stopped is Stop.ENDED and report.cancelled:
        message += (
            f"; the cluster gave up {len(report.cancelled)} chunks, as it does when the client "
            "closes, the scheduler is lost, or something they need is lost or was cancelled"
        )
    if not report.erred:
        return DecodeError(message, report)
    chunk, cause = next(iter(report.erred.items()))
    message += f"; chunk {chunk} raised {type(cause).__name__}: {cause}"
    if integers and isinstance(cause, TypeError | IndexError):
        message += (
            "; blocks of integer and boolean arrays arrive as float64: cast them inside the "
            "function, block.astype(int) or astype(bool); parity chunks are mixtures of blocks, "
            "so round first, or do without them by code='uncoded' or 'repetition'"
        )
    error = DecodeError(message, report)
    error.__cause__ = cause
    return error


def warning_about(
    report: RunReport, *, enough: int | None, deadline: float | None, rtol: float, replaced: bool
) -> str | None:
    """What to warn of in an answer, whether for too few results or the error; None for nothing.

    Parameters
    ----------
    report : RunReport
        Of a run that has its answer.
    enough : int or None
        Results that were asked for at least, if there are fewer.
    deadline : float or None
        Seconds that the run was given.
    rtol : float
        Error that is all right.
    replaced : bool
        Whether results that look corrupted were put aside.
    """
    found = []
    if enough is not None and report.stopped in (Stop.DEADLINE, Stop.ENOUGH):
        late = report.stopped is Stop.DEADLINE
        found.append(
            f"decoded from {len(report.returned)} results, fewer than enough={enough}, because "
            + (f"{deadline} s have passed" if late else "workers do not respond that others need")
        )
    if report.suspects:
        names = ", ".join(map(str, report.suspects))
        done = "put aside" if replaced else "kept"
        found.append(f"results of chunks {names} look corrupted and were {done}")
    if report.error is not None and report.error > rtol:
        found.append(f"the estimate is above rtol={rtol:g}")
    return f"{'; '.join(found)}: {report.error_text}" if found else None
