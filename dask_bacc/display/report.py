"""A report as notebooks show it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Self

from dask_bacc.display.html import run_html
from dask_bacc.records.report import RunReport


@dataclass(frozen=True, repr=False)
class ShownReport(RunReport):
    """A report with the picture of its run."""

    #: that of the run
    status: str = "pending"

    @classmethod
    def of(cls, report: RunReport, status: str) -> Self:
        """A report with how its run stands."""
        known = {field.name: getattr(report, field.name) for field in fields(RunReport)}
        return cls(**known, status=status)

    def _repr_html_(self) -> str:
        return run_html(self.status, self)
