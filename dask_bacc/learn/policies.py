"""What a trainer does about stragglers, each way on the same runtime."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dask_bacc.coding import Decoder
from dask_bacc.coding.decoders import Rescaled

#: Share of the blocks that policies which wait for no stragglers do not wait for, at least one.
IGNORED = 1 / 6


@dataclass(frozen=True)
class Policy:
    """How data is encoded and rounds are run."""

    name: str
    #: in a line, for tables
    title: str
    #: code of the chunks
    code: str = "uncoded"
    #: whether there are more chunks than blocks
    redundant: bool = False
    #: by which rounds are decoded; None for the code's own
    decoder: str | Decoder | None = None
    #: whether a round waits for every block, whatever it costs
    waits: bool = False
    #: whether blocks that are late run once more on idle workers
    copies: bool = False
    #: whether rounds remember
    remembers: bool = False
    #: whether the estimated error decides
    estimates: bool = False
    #: whether blocks are weighed by how often they return
    weighed: bool = False

    def options(self, k: int, gradient_rtol: float, chances: tuple[float, ...]) -> dict[str, Any]:
        """Options of a round.

        Parameters
        ----------
        k : int
            Number of blocks.
        gradient_rtol : float
            Error of the gradient that is good enough.
        chances : tuple of float
            Of blocks to return, if they are weighed.
        """
        found: dict[str, Any] = {"copies": self.copies, "decoder": self.decoder}
        if self.estimates:
            found["rtol"] = gradient_rtol
        elif self.waits:
            found["rtol"] = 0.0
        else:
            found |= {"rtol": math.inf, "enough": k - max(1, round(IGNORED * k))}
        if self.weighed:
            found["decoder"] = Rescaled(chances)
        return found


#: By name.
POLICIES: Mapping[str, Policy] = {
    policy.name: policy
    for policy in (
        Policy("wait", "wait for all", waits=True),
        Policy("ignore", "ignore and rescale", decoder="rescaled"),
        Policy("weigh", "ignore, inverse-probability weights", weighed=True),
        Policy("backup", "copies of late blocks", waits=True, copies=True),
        Policy("repetition", "repetition that waits", "repetition", redundant=True, waits=True),
        Policy(
            "repetition-ignore",
            "repetition that does not wait",
            "repetition",
            redundant=True,
            decoder="rescaled",
        ),
        Policy("bacc", "published BACC", "berrut", redundant=True, decoder="berrut"),
        Policy("letcc", "smoothing spline (LeTCC)", "berrut", redundant=True, decoder="spline"),
        Policy(
            "kriging",
            "systematic and kriging",
            "systematic",
            redundant=True,
            copies=True,
            estimates=True,
        ),
        Policy(
            "rounds",
            "systematic, rounds that remember",
            "systematic",
            redundant=True,
            copies=True,
            estimates=True,
            remembers=True,
        ),
    )
}
