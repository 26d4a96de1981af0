"""What a trainer does about stragglers, each way on the same runtime."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dask_bacc.coding import Decoder
from dask_bacc.coding.decoders import Rescaled
from dask_bacc.learn.assigned import Assignment, OfSum, cyclic, fractional, stochastic

#: Share of the blocks that policies which wait for no stragglers do not wait for, at least one.
IGNORED = 1 / 3
#: Parts in a chunk where gradients are coded.
LOAD = 2


def waited_for(k: int) -> int:
    """Blocks that policies wait for which wait for no stragglers.

    Examples
    --------
    >>> waited_for(12), waited_for(2), waited_for(1)
    (8, 1, 1)
    """
    return max(1, k - max(1, round(IGNORED * k)))


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
    #: of parts to chunks that hold `LOAD` of them each, where gradients are coded and not data
    assignment: Assignment | None = None
    #: whether rows are mixed with others of all blocks, for a regular network and not for a code
    mixup: bool = False

    @property
    def decoder_ignores(self) -> bool:
        """Whether what is missing is left out."""
        return isinstance(self.decoder, OfSum) and self.decoder.in_the_mean

    @property
    def leaves_out(self) -> bool:
        """Whether rows of what is late count for nothing."""
        if self.waits or self.redundant or self.estimates:
            return False
        return self.assignment is None or self.decoder_ignores

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
        if self.assignment is not None and not self.decoder_ignores:
            found |= {"rtol": math.inf, "enough": 1}
        elif self.estimates:
            # What is remembered of a minibatch is an epoch old: who takes fewer goes the same way
            # too far again and again, and needs more rounds than it saves time.
            found |= {"rtol": gradient_rtol, "enough": k}
        elif self.waits:
            found["rtol"] = 0.0
        else:
            found |= {"rtol": math.inf, "enough": waited_for(k)}
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
        Policy("fractional", "fractional repetition", decoder=OfSum(), assignment=fractional),
        Policy("cyclic", "cyclic gradient code", decoder=OfSum(), assignment=cyclic),
        Policy(
            "stochastic",
            "stochastic gradient coding",
            decoder=OfSum(in_the_mean=True),
            assignment=stochastic,
        ),
        Policy("mixup", "mixup, wait for all", waits=True, mixup=True),
    )
}
