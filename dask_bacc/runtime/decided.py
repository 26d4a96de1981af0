"""What a run comes to, on the way and in the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dask_bacc.results.solved import Solved


@dataclass(frozen=True, eq=False)
class Partial:
    """The answer as far as it goes."""

    #: what `CodedRun.result` would return
    answer: Any
    #: estimated error as in `RunReport.error`; None if the decoder estimates none
    error: float | None
    #: the same for every block
    block_error: tuple[float, ...] | None
    #: number of results it is made from
    returned: int


@dataclass(frozen=True, eq=False)
class Decided:
    """A run whose results decode."""

    solved: Solved
    #: the answer; None if results are still on the workers
    answer: Any = None
    #: whether they are
    held: bool = False
