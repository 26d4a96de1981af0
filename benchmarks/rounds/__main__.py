"""Rounds that remember, beside rounds that do not.

Run with ``python -m benchmarks.rounds``.
"""

from __future__ import annotations

import argparse

from benchmarks.rounds.cluster import accuracy, cost, persistent
from benchmarks.rounds.decoders import decoders
from benchmarks.rounds.first import first
from benchmarks.rounds.jobs import JOBS


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--only", nargs="+", default=PARTS, choices=PARTS, help="parts to run; by default all"
    )
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--jobs", nargs="+", default=[job.__name__ for job in JOBS])
    parser.add_argument("--k", type=int, default=8, help="blocks, without a cluster")
    args = parser.parse_args()
    if "decoders" in args.only:
        decoders(args.rounds, args.seeds, args.jobs, args.k)
    if "first" in args.only:
        first(args.jobs, args.k, args.rounds)
    if "persistent" in args.only:
        persistent(args.rounds)
    if "accuracy" in args.only:
        accuracy(args.rounds)
    if "cost" in args.only:
        cost(args.rounds)


PARTS = ("decoders", "first", "persistent", "accuracy", "cost")

if __name__ == "__main__":
    main()
