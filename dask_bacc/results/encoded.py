"""What the results of a run are results of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from dask_bacc.results.gaps import FindGaps
from dask_bacc.results.joining import Cut
from dask_bacc.results.labels import Label


@dataclass(frozen=True, eq=False)
class Encoded:
    """The arrays whose chunks a run is over, as far as decoding has to know them."""

    #: one for every encoded array
    cuts: tuple[Cut, ...]
    #: gives arrays of the answer their labels; None if no encoded array had any
    label: Label | None
    #: makes the answer of a list of results of any kind; None for the list itself
    assemble: Callable[[list[Any]], Any] | None = field(default=None, kw_only=True)
    #: finds out where blocks had NaN, if these were filled
    gaps: FindGaps | None = field(default=None, kw_only=True)
    #: share of their size to which blocks are rounded
    precision: float
    #: whether integers or booleans were encoded, whose blocks arrive as float64
    integers: bool
