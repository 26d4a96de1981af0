"""What can go wrong with a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dask_bacc.cluster.report import RunReport


class DecodeError(RuntimeError):
    """The results that came back give no answer.

    Attributes
    ----------
    report : RunReport
        Who returned, who did not, and what they raised. The first exception of a chunk, if there
        was one, is this error's ``__cause__``.
    """

    def __init__(self, message: str, report: RunReport) -> None:
        super().__init__(message)
        self.report = report

    def __reduce__(self) -> tuple[type[DecodeError], tuple[str, RunReport]]:
        return type(self), (str(self), self.report)


class ResultError(ValueError):
    """A chunk's result cannot be decoded: not arrays of numbers, or not finite."""
