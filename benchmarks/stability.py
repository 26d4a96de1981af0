"""Error of Berrut's scheme against n, and the digits that Lagrange decoding loses.

Run with ``python -m benchmarks.stability``; writes ``docs/images/stability.png``. The first table
is the paper's scheme on k=8 blocks with four random results missing; the second squares k=n/3
blocks and decodes from 2k-1 random results, where Lagrange decoding is exact in theory.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import matplotlib as mpl
import numpy as np

from benchmarks import figures
from dask_bacc import coding

mpl.use("agg")
from matplotlib import pyplot as plt

DRAWS = 25
FUNCTIONS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], tuple[int, ...]]] = {
    "x sin x": (lambda x: x * np.sin(x), (200,)),
    "sigmoid": (lambda x: 1 / (1 + np.exp(-x)), (200,)),
    "X X^T": (lambda x: x @ np.swapaxes(x, -1, -2), (20, 10)),
}


def relative_error(answer: np.ndarray, truth: np.ndarray) -> float:
    """RMS error over RMS value."""
    return float(np.linalg.norm(answer - truth) / np.linalg.norm(truth))


def median_error(
    code: coding.Code, results: np.ndarray, truth: np.ndarray, count: int, rng: np.random.Generator
) -> float:
    """Median over draws of `count` returned chunks, decoded as its paper does."""
    decoder = "polynomial" if isinstance(code, coding.Lagrange) else "berrut"
    errors = []
    for _ in range(DRAWS):
        returned = rng.permutation(code.n)[:count]
        decoded = coding.decode(code, {int(i): results[i] for i in returned}, decoder)
        errors.append(relative_error(decoded.blocks, truth))
    return float(np.median(errors))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    figures.add_option(parser, "stability.png")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")

    sizes = [20, 40, 80, 160, 320, 640]
    print("Berrut, k=8, 4 of n missing: relative error, and its slope from n=80 on")
    print("n        " + "".join(f"{n:>9}" for n in sizes) + "    slope")
    for name, (function, shape) in FUNCTIONS.items():
        blocks = rng.uniform(-1, 1, (8, *shape))
        errors = []
        for n in sizes:
            code = coding.Berrut(8, n)
            results = function(code.encode(blocks))
            errors.append(median_error(code, results, function(blocks), n - 4, rng))
        slope = np.polyfit(np.log(sizes[2:]), np.log(errors[2:]), 1)[0]
        print(f"{name:9}" + "".join(f"{error:9.1e}" for error in errors) + f"{slope:9.2f}")
        left.loglog(sizes, errors, "o-", label=name)
    left.loglog(sizes, 2.0 / np.array(sizes), "k--", linewidth=1, label="slope -1")
    left.set_title("Berrut's error falls like 1/n (k=8, 4 missing)")

    sizes = [12, 24, 48, 96, 192]
    table: dict[str, list[float]] = {"Lagrange": [], "Berrut": []}
    for n in sizes:
        k = n // 3
        blocks = rng.uniform(-1, 1, (k, 200))
        exact = coding.Lagrange(k, n, degree=2)
        for name, code in (("Lagrange", exact), ("Berrut", coding.Berrut(k, n))):
            results = code.encode(blocks) ** 2
            table[name].append(
                median_error(code, results, blocks**2, exact.recovery_threshold, rng)
            )
    print("\nx^2 on k=n/3 blocks from 2k-1 results: relative error")
    print("n        " + "".join(f"{n:>9}" for n in sizes))
    for name, errors in table.items():
        print(f"{name:9}" + "".join(f"{error:9.1e}" for error in errors))
        right.loglog(sizes, errors, "o-", label=name)
    right.set_title("Lagrange loses its digits, Berrut does not")
    for ax in (left, right):
        ax.set_xlabel("coded chunks n")
        ticks = ax.lines[0].get_xdata()
        ax.set_xticks(ticks, [f"{n:g}" for n in ticks])
        ax.minorticks_off()
        ax.set_ylabel("relative error (median)")
        ax.legend(frameon=False)
        ax.spines[["top", "right"]].set_visible(False)
    figures.save(figure, options.figure)


if __name__ == "__main__":
    main()
