"""What the user asked of a run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from operator import index
from typing import Any, Literal

from dask_bacc.coding import Code, Decoder, get_decoder
from dask_bacc.coding.decode import Suspects, check_choice
from dask_bacc.policy.lateness import Patience
from dask_bacc.policy.timing import Timing

Combine = Literal["concat", "stack", "sum", "mean", "list"]
#: The decoder that does no arithmetic.
COPYING = "first-copy"

Launch = Literal["eager", "backup"]
Cancel = Literal["cancel", "keep", "restart"]


@dataclass(frozen=True)
class RunOptions:
    """What the user asked of a run, checked."""

    decoder: Decoder
    enough: int
    rtol: float
    deadline: float | None
    combine: Combine
    retries: int
    #: ``"eager"`` to launch all chunks at once, ``"backup"`` to add parity for those that are late
    launch: Launch
    cancel: Cancel
    #: ``"keep"`` for results that look corrupted to stay, ``"replace"`` to put them aside
    suspects: Suspects
    #: whether a chunk may be run once more while it runs
    copies: bool
    #: when a chunk is late
    patience: Patience
    #: how long the run waits for workers
    timing: Timing

    @classmethod
    def checked(
        cls,
        code: Code,
        *,
        decoder: str | Decoder | None,
        enough: int | None,
        rtol: float,
        deadline: float | None,
        combine: Combine,
        retries: int,
        launch: Launch,
        cancel: Cancel,
        suspects: Suspects,
        copies: bool,
        patience: Patience,
        timing: Timing,
    ) -> RunOptions:
        """Refuse options out of their ranges; see `CodedArray.map`."""
        enough = code.k if enough is None else index(enough)
        if not 1 <= enough <= code.n:
            raise ValueError(f"enough must be 1 to n={code.n} results, got {enough}")
        rtol = _number(rtol, "rtol", "a number")
        if not rtol >= 0:
            raise ValueError(f"rtol must be at least 0, or inf for none, got {rtol}")
        if deadline is not None:
            deadline = _number(deadline, "deadline", "a number of seconds")
            if not 0 < deadline < math.inf:
                raise ValueError(f"deadline must be a positive number of seconds, got {deadline}")
        retries = index(retries)
        if retries < 0:
            raise ValueError(f"retries must be at least 0, got {retries}")
        check_choice(combine, "combine", Combine)
        if combine == "list":
            decoder = _copying(code, decoder)
        chosen = get_decoder(decoder, code)
        check_choice(launch, "launch", Launch)
        check_choice(cancel, "cancel", Cancel)
        check_choice(suspects, "suspects", Suspects)
        if launch == "backup" and len(code.first_copies) < code.k:
            raise ValueError(
                f"launch='backup' starts with the blocks as they stand, which {code} has not; use "
                "launch='eager' or a systematic code"
            )
        return cls(
            decoder=chosen,
            enough=enough,
            rtol=rtol,
            deadline=deadline,
            combine=combine,
            retries=retries,
            launch=launch,
            cancel=cancel,
            suspects=suspects,
            copies=bool(copies),
            patience=patience,
            timing=timing,
        )


def _copying(code: Code, decoder: str | Decoder | None) -> str | Decoder:
    """The decoder of results that need not be numbers, if the code suits them.

    Raises
    ------
    ValueError
        If chunks are mixed of blocks, or the decoder mixes results.
    """
    if (code.own_blocks < 0).any():
        raise ValueError(
            f"combine='list' is for blocks as they stand, and {code} mixes some; encode with "
            "code='uncoded' or 'repetition', or without n"
        )
    name = decoder if isinstance(decoder, str | None) else decoder.name
    if name not in (None, COPYING):
        raise ValueError(f"combine='list' copies results; decoder={name!r} mixes them")
    return COPYING


def _number(value: Any, name: str, what: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise TypeError(f"{name} must be {what}, got {value!r}") from None
