"""Carries out chaos draws, those of one shape on one cluster."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from pathlib import Path

from benchmarks.chaos.arena import Arena
from benchmarks.chaos.awake import AwakeClock
from benchmarks.chaos.draws import Draw, draw
from benchmarks.chaos.outcome import Outcome
from benchmarks.chaos.scene import Scene


def carry_out(draw: Draw, arena: Arena, say: Callable[[str], None] = lambda _: None) -> Outcome:
    """Carry out a draw on an arena of its shape.

    Parameters
    ----------
    draw : Draw
    arena : Arena
    say : callable
        Told what happens.
    """
    outcome = Outcome(draw)
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="chaos-") as directory:
        gate = Path(directory) / "gate"
        Scene(draw, arena, outcome, gate, say).play()
    outcome.seconds = time.monotonic() - begin
    return outcome


def carry_out_all(
    seeds: Iterable[int], say: Callable[[str], None] = lambda _: None
) -> Iterator[Outcome]:
    """Carry out the draws of some seeds, those of one shape after another on one cluster.

    Cold ones have a cluster each.
    """
    draws = sorted(map(draw, seeds), key=lambda drawn: (drawn.shape, drawn.cold, drawn.seed))
    with AwakeClock() as clock:
        for shape, alike in groupby(draws, key=lambda drawn: drawn.shape):
            yield from _carry_out_alike(shape, alike, clock, say)


def _carry_out_alike(
    shape: tuple[int, int], draws: Iterable[Draw], clock: AwakeClock, say: Callable[[str], None]
) -> Iterator[Outcome]:
    arena: Arena | None = None
    try:
        for drawn in draws:
            if drawn.cold and arena is not None:
                arena.close()
            if drawn.cold or arena is None:
                arena = Arena(shape, clock, cold=drawn.cold)
            outcome = carry_out(drawn, arena, say)
            yield outcome
            if drawn.cold or not outcome.healed:
                arena.close()
                arena = None
    finally:
        if arena is not None:
            arena.close()
