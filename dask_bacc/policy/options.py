"""What the user asked of a run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from operator import index
from typing import Any, Literal, get_args

from dask_bacc.coding import Code, Decoder, get_decoder
from dask_bacc.coding._typing import AnyArray
from dask_bacc.coding.decode import check_suspects
from dask_bacc.policy.backups import Patience
from dask_bacc.results.joining import Cut, Joining, check_combine
from dask_bacc.results.labels import Dress

Launch = Literal["eager", "backup"]
Cancel = Literal["cancel", "keep", "restart"]


@dataclass(frozen=True)
class RunOptions:
    """What the user asked of a run, checked."""

    decoder: Decoder
    enough: int
    rtol: float
    deadline: float | None
    joining: Joining
    retries: int
    #: gives arrays of the answer their labels; None if no encoded array had any
    dress: Dress | None
    #: ``"eager"`` to launch all chunks at once, ``"backup"`` to add parity for those that are late
    launch: str
    #: when a chunk is late
    patience: Patience
    cancel: str
    #: ``"keep"`` for results that look corrupted to stay, ``"replace"`` to put them aside
    suspects: str
    #: sketches of chunks that earlier runs brought, added to by this one; see `locate`
    sketches: dict[int, list[AnyArray]]
    #: share of their size to which the blocks are rounded
    precision: float
    #: whether arrays were encoded whose integers or booleans arrive as float64
    integers: bool

    @classmethod
    def checked(
        cls,
        code: Code,
        *,
        decoder: str | Decoder | None,
        enough: int | None,
        rtol: float,
        deadline: float | None,
        combine: str,
        cuts: tuple[Cut, ...],
        retries: int,
        dress: Dress | None,
        launch: str,
        cancel: str,
        suspects: str,
        sketches: dict[int, list[AnyArray]],
        precision: float,
        integers: bool,
    ) -> RunOptions:
        """Refuse options out of their ranges; see `CodedArray.map`."""
        enough = code.k if enough is None else index(enough)
        if not 1 <= enough <= code.n:
            raise ValueError(f"enough must be 1 to n={code.n} results, got {enough}")
        try:
            rtol = float(rtol)
        except (TypeError, ValueError, OverflowError):
            raise TypeError(f"rtol must be a number, got {rtol!r}") from None
        if not rtol >= 0:
            raise ValueError(f"rtol must be at least 0, or inf for none, got {rtol}")
        if deadline is not None:
            try:
                deadline = float(deadline)
            except (TypeError, ValueError, OverflowError):
                raise TypeError(
                    f"deadline must be a number of seconds, got {deadline!r}"
                ) from None
            if not 0 < deadline < math.inf:
                raise ValueError(f"deadline must be a positive number of seconds, got {deadline}")
        retries = index(retries)
        if retries < 0:
            raise ValueError(f"retries must be at least 0, got {retries}")
        check_combine(combine)
        solver = get_decoder(decoder, code)
        if launch not in get_args(Launch):
            raise ValueError(f"unknown launch {launch!r}; use one of {_names(Launch)}")
        if cancel not in get_args(Cancel):
            raise ValueError(f"unknown cancel {cancel!r}; use one of {_names(Cancel)}")
        check_suspects(suspects)
        if launch == "backup" and len(code.first_copies) < code.k:
            raise ValueError(
                f"launch='backup' starts with the blocks as they stand, which {code} has not; use "
                "launch='eager' or a systematic code"
            )
        return cls(
            decoder=solver,
            enough=enough,
            rtol=rtol,
            deadline=deadline,
            joining=Joining(combine, cuts),
            retries=retries,
            dress=dress,
            launch=launch,
            patience=Patience.configured(),
            cancel=cancel,
            suspects=suspects,
            sketches=sketches,
            precision=precision,
            integers=integers,
        )


def _names(choice: Any) -> str:
    return ", ".join(map(repr, get_args(choice)))
