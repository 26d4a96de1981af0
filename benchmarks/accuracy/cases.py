"""Cases of the accuracy benchmark that have a measure of their own."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter

import numpy as np

from benchmarks.busy import fit_times
from benchmarks.workloads import Network, draw
from dask_bacc import coding
from dask_bacc.coding.kriging.fit import LOWEST, Fit
from dask_bacc.coding.kriging.kernels import FAMILIES, Geometry

Array = np.ndarray

#: k, n and repeats of the fits that are timed.
FITS = ((8, 12, 20), (32, 40, 20), (64, 80, 10), (400, 512, 2))


def classify(title: str, network: Network, draws: int, batch: int) -> None:
    """Eight batches of images, one of nine chunks missing: the accuracy that coding costs."""
    k, n = 8, 9
    rng = np.random.default_rng(0)
    right: dict[str, list[Array]] = {}
    for _ in range(draws):
        chosen = rng.integers(len(network.images), size=(k, batch))
        blocks, labels = network.images[chosen], network.labels[chosen]
        truth = network(blocks)
        right.setdefault("nothing missing", []).append(truth.argmax(axis=-1) == labels)
        missing = rng.integers(n)
        for name in ("berrut", "systematic", "local"):
            code = coding.get_code(name, k, n)
            scores = network(code.encode(blocks))
            results = {i: scores[i] for i in range(n) if i != missing}
            answers = {}
            if code.chunk_nodes is not None:
                answers["berrut decoder"] = coding.decode(code, results, "berrut").blocks
            answers["kriging decoder"] = coding.decode(
                code, results, "kriging", rows=blocks
            ).blocks
            if batch == 1:
                flat = {i: result[0] for i, result in results.items()}
                inner = blocks[:, 0] @ blocks[:, 0].T
                limit = _with_hindsight(code, flat, truth[:, 0], inner)
                answers["kriging in hindsight"] = limit[:, None]
            for decoder, answer in answers.items():
                key = f"{name} code, {decoder}"
                right.setdefault(key, []).append(answer.argmax(axis=-1) == labels)
    print(f"\n{title}, {batch} in a block, k=8, one of 9 missing, {draws} draws: accuracy")
    whole = np.mean(right["nothing missing"])
    for key, hits in right.items():
        print(f"  {key:35} {np.mean(hits):.4f}   lost {whole - np.mean(hits):.4f}")


def _with_hindsight(
    code: coding.Code, results: dict[int, Array], truth: Array, gram: Array
) -> Array:
    """Kriging with the family and parameters, of 240, whose answer is closest to the truth."""
    rng = np.random.default_rng(0)
    chunks, values = list(results), np.stack(list(results.values()))
    points = np.vstack([np.eye(code.k), code.generator[chunks]])
    geometry = Geometry.of(points, gram / np.mean(np.diag(gram)))
    there = np.arange(code.k, len(points))
    own = code.own_blocks[chunks]
    answers = []
    for family in FAMILIES:
        for constant, linear, length in rng.normal(size=(40, 3)) * [2, 2, 1]:
            parameters = np.array([constant, linear, 0, family.log_length + length, LOWEST])
            fit = Fit(family, parameters, 0.0)
            cross = fit.covariance(geometry.between(np.arange(code.k), there))
            covariance = fit.results_covariance(geometry.among(there))
            blocks = cross @ np.linalg.solve(covariance, values)
            blocks[own[own >= 0]] = values[own >= 0]
            answers.append(blocks)
    return min(answers, key=lambda blocks: float(np.linalg.norm(blocks - truth)))


def corrupt(network: Network, draws: int) -> None:
    """Results replaced by random numbers of their size: how many are found, and at what price."""
    print(f"\nE corrupted results of n = k + 2E + 2, all returned, {draws} draws a cell")
    print(f"{'':30}{'all found':>12}{'honest put aside':>18}{'error over clean one, median':>30}")
    rng = np.random.default_rng(0)
    for function in ("linear", "sigmoid", "tanh network", "ODE sweep", "images"):
        for corrupted in (1, 2, 3):
            found, aside, honest, ratios = [], 0, 0, []
            for data in ("common mean", "smooth"):
                for k in (8, 16):
                    n = k + 2 * corrupted + 2
                    code = coding.Berrut(k, n, systematic=True)
                    for _ in range(draws):
                        blocks, mapped = draw(function, data, k, rng, network)
                        bad = set(rng.permutation(n)[:corrupted].tolist())
                        outcome, ratio = _with_corrupted(code, blocks, mapped, bad, rng)
                        found.append(bad <= outcome)
                        aside += len(outcome - bad)
                        honest += n - corrupted
                        ratios.append(ratio)
            print(
                f"  {function:20} E={corrupted}     {np.mean(found):11.3f}{aside:9} of {honest}"
                f"{np.median(ratios):26.2f}"
            )


def _with_corrupted(
    code: coding.Code, blocks: Array, mapped, bad: set[int], rng: np.random.Generator
) -> tuple[set[int], float]:
    results = mapped(code.encode(blocks)).reshape(code.n, -1)
    truth = mapped(blocks).reshape(code.k, -1)
    flat = blocks.reshape(code.k, -1)
    gram = flat @ flat.T
    size = np.sqrt(np.mean(results**2))
    clean = {i: results[i] for i in range(code.n) if i not in bad}
    worse = {i: size * rng.normal(size=results.shape[1]) for i in bad} | clean
    decoded = coding.decode(code, worse, "kriging", gram, suspects="replace")
    without = coding.decode(code, clean, "kriging", gram)
    floor = 1e-8 * np.linalg.norm(truth)
    error = max(np.linalg.norm(decoded.blocks - truth), floor)
    return set(decoded.suspects), error / max(np.linalg.norm(without.blocks - truth), floor)


def honest(network: Network, draws: int) -> None:
    """Honest results of smooth and rough functions: how many are put aside."""
    rng = np.random.default_rng(1)
    aside = total = noisy = answers = 0
    for function in (
        "quadratic",
        "sigmoid",
        "tanh network",
        "ReLU network",
        "ODE sweep",
        "images",
    ):
        for data in ("independent", "common mean", "smooth"):
            for k, n in ((8, 14), (8, 36), (32, 36)):
                for _ in range(draws):
                    code = coding.Berrut(k, n)
                    blocks, mapped = draw(function, data, k, rng, network)
                    results = mapped(code.encode(blocks)).reshape(n, -1)
                    flat = blocks.reshape(k, -1)
                    decoded = coding.decode(
                        code,
                        dict(enumerate(results)),
                        "kriging",
                        flat @ flat.T,
                        suspects="replace",
                    )
                    aside += len(decoded.suspects)
                    total += n
                    noisy += decoded.noise > 0
                    answers += 1
    print(f"\nhonest results put aside: {aside} of {total}")
    print(f"functions without noise said to be noisy: {noisy} of {answers}")


def fitting_time(fits: Sequence[tuple[int, int, int]]) -> None:
    """One fit and decoder against one eigenvalue decomposition of the same size."""
    rng = np.random.default_rng(0)
    print("\nwhole fit and decoder, in milliseconds and in eigendecompositions of (n, n); by rows")
    for k, n, repeats in fits:
        time, unit = fit_times(k, n, repeats)
        code = coding.Berrut(k, n, systematic=True)
        cut = rng.normal(size=(15, 20)) + 0.5 * rng.normal(size=(k, 15, 20))
        lines = _by_rows(code, cut)
        times = []
        for _ in range(repeats // 2):
            begin = perf_counter()
            coding.decode(code, lines, rows=cut)
            times.append(perf_counter() - begin)
        print(f"  k={k:4} n={n:4} {1e3 * time:9.1f} {time / unit:9.0f} {1e3 * min(times):9.1f}")


def _by_rows(code: coding.Code, blocks: Array) -> dict[int, Array]:
    """Results of a network of rows, but for one."""
    weights = np.random.default_rng(0).normal(size=(20, 12)) / np.sqrt(20)
    results = np.tanh(code.encode(blocks) @ weights)
    return {i: result for i, result in enumerate(results) if i != 1}
