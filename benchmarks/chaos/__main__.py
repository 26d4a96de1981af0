"""Chaos: runs on worker processes that are stopped, killed and resumed at random, and what held.

Usage: ``python -m benchmarks.chaos [--draws 1000] [--first 0]``; with ``--seed S``, one draw and
all that happens in it.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

from benchmarks.chaos.carry_out import carry_out_all
from benchmarks.chaos.draws import FAULTS, draw
from benchmarks.chaos.outcome import Outcome

#: Draws of which there are rows of their own, whatever goes wrong.
COLD, AGAIN = "(cold cluster)", "(second run, not persisted)"


def table(outcomes: Sequence[Outcome]) -> str:
    """How the draws of each kind of fault ended."""
    groups: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        for kind in outcome.draw.kinds:
            groups[kind].append(outcome)
        if outcome.draw.cold:
            groups[COLD].append(outcome)
        if outcome.draw.data == "dask" and outcome.draw.runs > 1:
            groups[AGAIN].append(outcome)
    groups["all"] = list(outcomes)
    lines = [
        "| fault | draws | runs | answers | errors | cancelled, dropped | worst error over bar "
        "| latest after its deadline (s) | draws that failed |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for kind in (*FAULTS, COLD, AGAIN, "all"):
        if group := groups.get(kind):
            ends = Counter(end for outcome in group for end in outcome.ended)
            given_up = ends["dropped"] + ends["CancelledError"]
            errors = ends.total() - ends["answer"] - given_up
            ratios = [ratio for outcome in group for ratio in outcome.ratios]
            cells = [
                kind,
                len(group),
                ends.total(),
                ends["answer"],
                errors,
                given_up,
                f"{max(ratios, default=0):.2f}",
                f"{max(outcome.lateness for outcome in group):+.2f}",
                sum(bool(outcome.failures) for outcome in group),
            ]
            lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.chaos", description=__doc__)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0, help="seed of the first draw")
    parser.add_argument("--seed", type=int, help="carry out this draw only, and say what happens")
    arguments = parser.parse_args()
    seeds: Sequence[int] = range(arguments.first, arguments.first + arguments.draws)
    say: Callable[[str], None] = lambda _: None  # noqa: E731
    if arguments.seed is not None:
        seeds, say = [arguments.seed], print
        print(draw(arguments.seed))
    # Whoever ends this process ends its clusters too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended from outside"))
    begin = time.monotonic()
    outcomes = []
    for outcome in carry_out_all(seeds, say):
        outcomes.append(outcome)
        for failure in outcome.failures:
            print(f"seed {outcome.draw.seed}: {failure}", flush=True)
    seconds = time.monotonic() - begin
    replaced = sum(not outcome.healed for outcome in outcomes)
    print(f"\n{len(outcomes)} draws in {seconds:.0f} s; {replaced} clusters were replaced\n")
    print(table(outcomes))
    if failing := sorted(outcome.draw.seed for outcome in outcomes if outcome.failures):
        raise SystemExit(f"\nseeds that failed: {', '.join(map(str, failing))}")


if __name__ == "__main__":
    main()
