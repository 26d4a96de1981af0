"""Rounds that remember on drawn task times, by the policies of real ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from dask_bacc.coding import Code, Decoder
from dask_bacc.coding.kriging.rounds_model import RoundsModel
from dask_bacc.policy.first import fewest_first
from dask_bacc.policy.lateness import Patience
from dask_bacc.policy.simulator import Seconds, SimulatedRun, simulate
from dask_bacc.policy.stop import is_complete


class SimulatedRound(NamedTuple):
    """How a round would have gone."""

    run: SimulatedRun
    #: of the sum, as the model has it
    error: float


def simulate_rounds(
    code: Code,
    decoder: Decoder,
    seconds: Callable[[int], Seconds],
    model: RoundsModel,
    *,
    rounds: int,
    workers: int,
    enough: int,
    rtol: float,
    keep: int = 2,
    few: bool = False,
    patience: Patience | None = None,
    copies: Patience | None = None,
    overhead: float = 0.0,
) -> list[SimulatedRound]:
    """Simulate rounds one after the other.

    Parameters
    ----------
    code, decoder
        Of the rounds.
    seconds : callable
        ``seconds(turn)`` gives the times of a round's chunks, as `simulate` takes them.
    model : RoundsModel
        Says how far off a round is.
    rounds : int
    workers, copies, overhead
        As in `simulate`.
    enough : int
        Results that are needed from the second round on; `k` in the first.
    rtol : float
        Error of the sum that is good enough.
    keep : int
        Results of every chunk that are remembered.
    few : bool
        Whether rounds start with as few blocks as are foreseen to do, as ``launch="backup"``.
    patience : Patience, optional
        When other chunks follow, with `few`.

    Examples
    --------
    >>> import numpy as np
    >>> from dask_bacc import coding
    >>> code = coding.get_code("systematic", 4, 6)
    >>> one_slow = lambda turn: lambda chunk, worker, attempt: 9.0 if chunk == turn % 4 else 1.0
    >>> model = RoundsModel.usual(code, np.eye(4), memory=4.0)
    >>> found = simulate_rounds(code, coding.Kriging(), one_slow, model, rounds=4, workers=6,
    ...                         enough=2, rtol=0.02)
    >>> [round(one.run.seconds, 1) for one in found]
    [9.0, 1.0, 1.0, 1.0]
    """
    found: list[SimulatedRound] = []
    kept: dict[int, list[int]] = {}
    for turn in range(rounds):
        past = [(chunk, when) for chunk, turns in kept.items() for when in turns]
        error = model.error(past, turn)
        first = _first(code, kept, turn, error, enough, rtol) if few and kept else None
        run = simulate(
            code,
            decoder,
            seconds(turn),
            workers=workers,
            enough=enough if kept else code.k,
            patience=patience or (Patience(0.5, 1.5, 0.1) if few else None),
            copies=copies,
            overhead=overhead,
            error=error,
            rtol=rtol,
            first=first,
        )
        returned = [c for c, record in enumerate(run.records) if record.state == "returned"]
        off = 0.0 if is_complete(code, returned) else error(returned)
        found.append(SimulatedRound(run, off))
        for chunk in returned:
            kept[chunk] = [*kept.get(chunk, []), turn][-keep:] if keep else []
    return found


def _first(
    code: Code,
    kept: dict[int, list[int]],
    turn: int,
    error: Callable[[Sequence[int]], float],
    enough: int,
    rtol: float,
) -> list[int]:
    """The chunks that a round starts with."""
    return fewest_first(
        code.first_copies,
        lambda chunk: turn - max(kept.get(chunk, [0])),
        enough=enough,
        rtol=rtol,
        foresight=lambda chunks: error(list(chunks)),
    )
