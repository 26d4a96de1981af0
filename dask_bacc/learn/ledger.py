"""What happened in the rounds of a training."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from dask_bacc.coding._typing import BoolArray
from dask_bacc.learn.advice import late_workers
from dask_bacc.records.report import RunReport

if TYPE_CHECKING:
    from xarray import Dataset

#: Of every round, in this order.
NUMBERS = {
    "loss": "mean loss of the rows, decoded",
    "gradient_error": "estimated relative error of the gradient; NaN if it is not estimated",
    "gradient_rtol": "error of the gradient that was good enough",
    "step": "share of the step that was taken",
    "seconds": "from the round's start to the step",
    "saved": "seconds by which a round that ignores the late would have been shorter",
    "work": "attempts at chunks, over the number of blocks",
    "effective_blocks": "blocks whose own results are in the gradient",
    "suspects": "chunks whose results look corrupted",
    "oldest": "rounds since the oldest result that was remembered; 0 for none",
}


@dataclass
class Ledger:
    """Of every round who returned, how good its gradient was, and what it took."""

    numbers: dict[str, list[float]] = field(default_factory=lambda: {n: [] for n in NUMBERS})
    policies: list[str] = field(default_factory=list)
    #: chunks that returned in time, by round
    returned: list[tuple[int, ...]] = field(default_factory=list)
    #: chunks that there were
    counts: list[int] = field(default_factory=list)
    #: workers that were at a chunk, and whether they were late, by round
    late: list[dict[str, bool]] = field(default_factory=list)
    #: rounds after which something was held against other rows, and what came of it
    checked: list[tuple[int, float]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.policies)

    def add(self, policy: str, report: RunReport, **numbers: float) -> None:
        """One more round."""
        self.policies.append(policy)
        self.counts.append(report.n)
        self.returned.append(report.returned)
        self.late.append(late_workers(report))
        for name, values in self.numbers.items():
            values.append(numbers[name])

    def who(self) -> BoolArray:
        """``(r, n)`` whether chunks returned in time, by round."""
        found = np.zeros((len(self), max(self.counts, default=0)), dtype=bool)
        for row, returned in enumerate(self.returned):
            found[row, list(returned)] = True
        return found

    def dataset(self) -> Dataset:
        """All of it, along ``round`` and ``chunk``."""
        import xarray

        data = {
            name: ("round", np.array(values), {"long_name": NUMBERS[name]})
            for name, values in self.numbers.items()
        }
        score = np.full(len(self), np.nan)
        for turn, value in self.checked:
            score[turn - 1] = value
        return xarray.Dataset(
            {
                **data,
                "score": ("round", score, {"long_name": "on other rows, after this round"}),
                "policy": ("round", np.array(self.policies, dtype=str)),
                "returned": (("round", "chunk"), self.who()),
            },
            coords={"round": np.arange(len(self))},
        )
