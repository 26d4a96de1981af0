"""Sums over blocks round after round with a third of the chunks missing, by several decoders."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Iterator

import numpy as np
from scipy.stats import chi2

from benchmarks.rounds.jobs import JOBS, Array, Job
from dask_bacc import coding
from dask_bacc.coding.kriging.rounds import Rounds, remember

#: Results of a chunk that are remembered.
KEPT = 2


def decoders(rounds: int, seeds: int, jobs: list[str], k: int) -> None:
    """Every job is iterated with its exact sums, and all decoders see the same results."""
    warnings.simplefilter("ignore")
    n = round(1.5 * k)
    names = ("ignored", "last known", "moved along", "today", "remembering")
    told = "   within 2, at most, above 3,    ms"
    print(f"{'':44}" + "".join(f"{name:>14}" for name in names) + told)
    for make in JOBS:
        if make.__name__ not in jobs:
            continue
        job = make(k)
        for mixed in (True, False):
            for kind in ("random", "rotating", "persistent"):
                found = [
                    compared(make(k), k, n, kind, mixed, rounds, seed) for seed in range(seeds)
                ]
                medians = [np.median([f["errors"][name][2:] for f in found]) for name in names]
                bars = np.concatenate([f["bars"][2:] for f in found])
                bars = bars[~np.isnan(bars)]
                most = within_two(np.concatenate([f["off"][2:] for f in found]))
                title = f"{job.name}, {'mixed' if mixed else 'sorted'}, {kind}"
                ms = 1e3 * np.median([f["seconds"] for f in found])
                print(
                    f"{title:44}"
                    + "".join(f"{value:14.2e}" for value in medians)
                    + f"   {np.mean((bars < 2) & (bars > 0.5)):8.0%} {most:8.0%}"
                    + f" {np.mean(bars > 3):8.0%} {ms:6.1f}",
                    flush=True,
                )


def within_two(errors: Array) -> float:
    """Share of rounds in which exact standard deviations would be right within a factor of 2.

    Of normal errors that lie in as many directions as these, ``(rounds, values)``: the size of an
    error in few directions is a matter of chance.
    """
    sizes = np.linalg.norm(errors, axis=1)
    directions = errors[sizes > 0] / sizes[sizes > 0, None]
    alike, count = (directions @ directions.T) ** 2, len(directions)
    if count < 2:
        return math.nan
    dimension = count * (count - 1) / (alike.sum() - count)
    share = chi2(dimension).cdf(dimension * np.array([1 / 4, 4]))
    return float(share[1] - share[0])


def missing_in(kind: str, n: int, rounds: int, seed: int) -> list[set[int]]:
    """The chunks that do not return, a third of them in every round."""
    rng, count = np.random.default_rng(seed), round(n / 3)
    always = rng.choice(n, count, replace=False)
    found = []
    for turn in range(rounds):
        if kind == "random":
            chosen = rng.choice(n, count, replace=False)
        elif kind == "rotating":
            chosen = (np.arange(count) + turn * count) % n
        else:
            chosen = always
        found.append({int(i) for i in chosen})
    return found


def simple(kind: str, blocks: Iterator[tuple[list[Array], set[int], Array]]) -> list[float]:
    """Relative errors of sums of plain blocks by what others do without the missing ones."""
    last: dict[int, Array] = {}
    errors = []
    for results, missing, total in blocks:
        k = len(results)
        here = [j for j in range(k) if j not in missing]
        if kind == "ignored":
            guess = sum(results[j] for j in here) * k / len(here)
        else:
            moved = [results[j] - last[j] for j in here if j in last]
            shift = np.mean(moved, axis=0) if moved and kind == "moved along" else 0.0
            last = {j: value + shift for j, value in last.items()}
            last |= {j: results[j] for j in here}
            guess = sum(last.values()) * k / len(last)
        errors.append(float(np.linalg.norm(guess - total) / np.linalg.norm(total)))
    return errors


def compared(job: Job, k: int, n: int, kind: str, mixed: bool, rounds: int, seed: int) -> dict:
    """Relative errors of the sum in every round, by decoder, and bars of the remembering one."""
    order = (
        np.random.default_rng(4 + seed).permutation(len(job.data))
        if mixed
        else np.argsort(job.order, kind="stable")
    )
    blocks = np.stack(np.split(job.data[order], k))
    code = coding.get_code("systematic", k, n)
    chunks = code.encode(blocks)
    flat = blocks.reshape(k, -1)
    gram = flat @ flat.T
    missing = missing_in(kind, n, rounds, seed)
    plain = missing_in(kind, k, rounds, seed)
    argument, arguments, start, seen = job.start, [], None, {}
    rows = []
    errors: dict[str, list[float]] = {"today": [], "remembering": []}
    bars, seconds, errors_of_sum = [], [], []
    for turn in range(rounds):
        arguments.append(argument)
        results = [job.func(chunk, argument) for chunk in chunks]
        total = np.sum(results[:k], axis=0)
        rows.append((results[:k], plain[turn], total))
        got = {i: results[i] for i in range(n) if i not in missing[turn]}
        size = np.linalg.norm(total)
        decoded = coding.decode(code, got, gram=gram)
        errors["today"].append(np.linalg.norm(decoded.blocks.sum(axis=0) - total) / size)
        held = [(i, turn, value) for i, value in got.items()]
        held += [(i, *past) for i, kept in seen.items() for past in kept]
        held.sort(key=lambda one: (one[1] != turn, one[0], one[1]))
        values = np.stack([value for *_, value in held])
        path = np.stack(arguments)
        when = sorted({t for _, t, _ in held})
        steps = np.linalg.norm(path[when][:, None] - path[when][None], axis=2)
        usual = np.linalg.norm(path[-1] - path[-2]) if turn else 1.0
        begin = time.perf_counter()
        rounds_ = Rounds.of(
            code.generator,
            code.own_blocks,
            gram,
            np.array([i for i, *_ in held]),
            np.array([when.index(t) for _, t, _ in held]),
            steps / (usual or 1.0),
            values @ values.T,
            values.shape[1],
        )
        found = remember(rounds_, start)
        seconds.append(time.perf_counter() - begin)
        start = found.parameters
        row = found.weights.sum(axis=0)
        errors_of_sum.append(row @ values - total)
        off = np.linalg.norm(errors_of_sum[-1])
        bar = np.sqrt(found.variance(np.ones(k)) * values.shape[1])
        errors["remembering"].append(off / size)
        # With every block's own result in, there is nothing to be off.
        bars.append(off / bar if bar else np.nan)
        for i, value in got.items():
            seen[i] = [*seen.get(i, []), (turn, value)][-KEPT:]
        argument = job.step(argument, total, turn)
    for name in ("ignored", "last known", "moved along"):
        errors[name] = simple(name, iter(rows))
    return {
        "errors": errors,
        "bars": np.array(bars),
        "seconds": seconds,
        "off": np.stack(errors_of_sum),
    }
