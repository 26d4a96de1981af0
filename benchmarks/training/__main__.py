"""LeNet-5 on Fashion-MNIST over twelve workers, by every policy, with the same drawn delays.

Run with ``python -m benchmarks.training``; images are those of Debian's ``dataset-fashion-mnist``,
or handwritten digits where they are not installed. Seconds are those of rounds: scoring is left
out.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Sequence

import numpy as np

from benchmarks.tail.systems import settle
from benchmarks.training.cost import cost
from benchmarks.training.jobs import JOBS
from benchmarks.training.laws import LAWS
from benchmarks.training.resumed import resumed
from benchmarks.training.trained import Curve, aim_of, cluster, plainly, trained
from dask_bacc.learn import POLICIES

#: Neither a policy nor a code: Dask's own futures.
PLAIN = "plain"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--job", default="clothes", choices=JOBS)
    parser.add_argument("--policies", nargs="+", default=[PLAIN, *POLICIES, "advised"])
    parser.add_argument("--laws", nargs="+", default=["pareto"], choices=LAWS)
    parser.add_argument("--blocks", nargs="+", default=["mixed"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--shortest", type=float, default=0.2, help="seconds of a task")
    parser.add_argument("--rows", type=int, default=24_000)
    parser.add_argument("--batches", type=int, default=24)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--aim", type=float, help="score at which it ends")
    parser.add_argument("--check", action="store_true", help="hold gradients against all rows'")
    parser.add_argument("--cost", action="store_true", help="what a round adds, and no more")
    parser.add_argument("--resume", action="store_true", help="a lost worker, then a lost client")
    parser.add_argument(
        "--quiet", action="store_true", help="workers do not watch themselves, as Dask's do"
    )
    parser.add_argument("--figure", help="file for a picture of scores over time")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    if args.cost:
        cost()
        return
    if args.resume:
        resumed(args)
        return
    for law in args.laws:
        for blocks in args.blocks:
            print(f"\n{args.job}, {law} from {args.shortest} s, {blocks} blocks")
            curves: dict[str, list[Curve]] = {policy: [] for policy in args.policies}
            # One policy after the other: machines are not always as fast.
            for seed in args.seeds:
                for policy, lines in curves.items():
                    lines.append(run(policy, law, blocks, seed, args))
            over_seeds(curves)
            if args.figure is not None:
                draw(curves, args.figure)


def over_seeds(curves: dict[str, list[Curve]]) -> None:
    """Where trainings ended, for each policy."""
    for policy, lines in curves.items():
        seconds, scores = np.array([line[-1] for line in lines]).T
        print(
            f"{policy:18} {len(lines)} seeds: {seconds.mean():.1f} s in the mean, "
            f"{seconds.min():.1f} to {seconds.max():.1f}; score {scores.mean():.3f}, "
            f"{scores.min():.3f} to {scores.max():.3f}"
        )


def draw(curves: dict[str, list[Curve]], path: str) -> None:
    """Scores over the seconds of rounds, a colour for each policy."""
    from matplotlib import pyplot as plt

    _, ax = plt.subplots(figsize=(7, 4), layout="constrained")
    for number, (policy, lines) in enumerate(curves.items()):
        for line in lines:
            label = policy if line is lines[0] else None
            ax.plot(*zip(*line, strict=True), color=f"C{number}", label=label)
    ax.set(xlabel="seconds", ylabel="score on rows to test", xlim=0)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False)
    plt.savefig(path, dpi=120)


def run(policy: str, law: str, blocks: str, seed: int, args: argparse.Namespace) -> Curve:
    """Train once, and say what came of it."""
    if policy == PLAIN:
        with cluster(law, quiet=args.quiet) as client:
            curve, seconds_of_rounds = plainly(law, blocks, seed, args, client)
        tell(policy, curve, aim_of(args), seconds_of_rounds)
        print()
        return curve
    with cluster(law, quiet=args.quiet) as client:
        found, curve, checked = trained(policy, law, blocks, seed, args, client)
        if law != "hung":
            settle(client)
    numbers = found.training_.ledger.numbers
    tell(policy, curve, aim_of(args), numbers["seconds"])
    print(
        f", work {np.mean(numbers['work']):.2f}, gradient said to be off by "
        f"{np.nanmedian(numbers['gradient_error']):.2g} {found.advice_ or ''}",
        flush=True,
    )
    if checked is not None:
        print(f"{'':18} {checked}", flush=True)
    return curve


def tell(policy: str, curve: Curve, aim: float, taken: Sequence[float]) -> None:
    """The beginning of a line."""
    seconds, score = curve[-1]
    print(
        f"{policy:18} {seconds if score >= aim else np.inf:7.1f} s, "
        f"{len(taken)} rounds in {np.sum(taken):.1f} s, "
        f"score {score:.3f}; a round p50 {np.median(taken):.2f}, "
        f"p99 {np.quantile(taken, 0.99):.2f} s",
        end="",
        flush=True,
    )


if __name__ == "__main__":
    main()
