"""What a plan chooses from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from dask_bacc.policy.options import Launch
from dask_bacc.rounds import few_of


@dataclass(frozen=True)
class Choice:
    """A code and the options of a run."""

    #: in the table
    name: str
    code: str
    n: int
    launch: Launch = "eager"
    #: results to wait for at least
    enough: int | None = None
    #: whether late blocks may run once more
    copies: bool = True
    #: whether it is a round of many, which remembers those before
    remembers: bool = False

    @property
    def options(self) -> dict[str, Any]:
        """Of `CodedArray.map`."""
        return {"launch": self.launch, "enough": self.enough, "copies": self.copies}


def choices(k: int, *, copies: bool = True, rounds: bool = False) -> list[Choice]:
    """Plain blocks, copies, repetition, and parity of several sizes.

    Parameters
    ----------
    k : int
        Number of blocks.
    copies : bool
        Whether the function may run twice on a block.
    rounds : bool
        Whether it is mapped again and again.

    Examples
    --------
    >>> [choice.name for choice in choices(4)]
    ['plain Dask', 'copies', 'parity, 1 more', 'parity, 1 more, backup', 'parity, 2 more', \
'parity, 2 more, backup', 'repetition', 'parity, 4 more', 'parity, 4 more, backup']
    """
    found = [Choice("plain Dask", "uncoded", k, copies=False)]
    if copies:
        found.append(Choice("copies", "uncoded", k))
    for more in sorted({1, math.ceil(k / 4), math.ceil(k / 2), k}):
        name = f"parity, {more} more"
        if copies and more == k:
            found.append(Choice("repetition", "repetition", 2 * k, copies=False))
        found.append(Choice(name, "systematic", k + more, copies=copies))
        found.append(Choice(f"{name}, backup", "systematic", k + more, "backup", copies=copies))
        if (few := math.ceil(0.7 * k)) >= 5 and more >= math.ceil(k / 2):
            found.append(
                Choice(f"{name}, fewer", "systematic", k + more, enough=few, copies=copies)
            )
        if rounds:
            found.append(
                Choice(
                    f"{name}, rounds",
                    "systematic",
                    k + more,
                    enough=few_of(k),
                    copies=copies,
                    remembers=True,
                )
            )
    return found
