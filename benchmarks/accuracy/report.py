"""Tables and figure of the accuracy benchmark."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np

from benchmarks import figures
from benchmarks.workloads import DATA, POLYNOMIAL
from dask_bacc.coding.codes import get_code

mpl.use("agg")
from matplotlib import pyplot as plt

#: The decoder that is told the truth; a limit, not a competitor.
HINDSIGHT = "hindsight"
#: Kriging that is not told the blocks' rows.
BY_BLOCKS = "kriging by blocks"
#: Errors below this are exact for all purposes; ratios of them say nothing.
EXACT = 1e-8


@dataclass(frozen=True)
class Record:
    """One answer."""

    code: str
    decoder: str
    function: str
    data: str
    #: k, n, missing
    setting: tuple[int, int, int]
    #: how the missing chunks were chosen
    pattern: str
    #: outputs that were kept; None for all
    outputs: int | None
    #: RMS error over the RMS value of the truth; infinite if there is no answer
    error: float
    #: the same, as estimated; NaN if the decoder estimates none
    predicted: float


def report(records: list[Record], path: Path) -> None:
    """Print all tables and draw the figure."""
    cells: defaultdict[tuple, list[float]] = defaultdict(list)
    for r in records:
        if r.outputs is None:
            cells[r.code, r.function, r.data, r.setting, r.pattern, r.decoder].append(r.error)
    medians: defaultdict[tuple, dict[str, float]] = defaultdict(dict)
    tails: dict[tuple, float] = {}
    for (*cell, decoder), errors in cells.items():
        medians[tuple(cell)][decoder] = float(np.median(errors))
        tails[*cell, decoder] = float(np.quantile(errors, 0.95, method="lower"))
    _compare_decoders(medians)
    _compare_codes(medians, tails)
    _exactness(records)
    _calibration(records)
    _draw(medians, records, path)


def _compare_decoders(medians: dict[tuple, dict[str, float]]) -> None:
    gains: defaultdict[str, list[list[float]]] = defaultdict(list)
    worse = []
    for (code, function, data, setting, pattern), errors in medians.items():
        if function in POLYNOMIAL:
            continue
        if "kriging" not in errors:
            continue
        kriging = max(errors["kriging"], EXACT)
        if "berrut" in errors and errors["kriging"] > 0:
            compared = (kriging, *(max(errors[name], EXACT) for name in (BY_BLOCKS, HINDSIGHT)))
            ratios = [np.log(errors["berrut"] / error) for error in compared]
            groups = ("all", code, function, data, f"k, n, missing = {setting}", pattern)
            for key in (*groups, f"{function}, {data}"):
                gains[key].append(ratios)
        others = [v for name, v in errors.items() if name not in ("kriging", BY_BLOCKS, HINDSIGHT)]
        best = max(min(others), EXACT)
        worse.append((kriging / best, (code, function, data, setting, pattern)))
    print(
        "\nBerrut's error over kriging's, over that of kriging without rows, and over that of the "
        "best weights for whole blocks in hindsight: same results, non-polynomial functions, "
        "geometric mean"
    )
    for key, values in gains.items():
        kriging, by_blocks, limit = np.exp(np.mean(values, axis=0))
        print(f"  {key:35} {kriging:7.2f} {by_blocks:8.2f} {limit:8.2f}   ({len(values)} cells)")
    ratios = np.array([ratio for ratio, _ in worse])
    print("\nKriging's median error over that of the best other decoder of the same results")
    print(
        f"  above 1.05 in {np.mean(ratios > 1.05):.2%}, above 1.3 in {np.mean(ratios > 1.3):.2%}"
    )
    for ratio, cell in sorted(worse, reverse=True)[:5]:
        print(f"  {ratio:5.2f}  {cell}")


def _compare_codes(medians: dict[tuple, dict[str, float]], tails: dict[tuple, float]) -> None:
    #: what is compared, and the code and decoder that it is
    compared = {
        "published": ("berrut", "berrut"),
        **{code: (code, "kriging") for code in ("berrut", "systematic", "local", "convex")},
        "by blocks": ("systematic", BY_BLOCKS),
        "repetition": ("repetition", "mean"),
        "lagrange": ("lagrange", "polynomial"),
        "uncoded": ("uncoded", "kriging"),
    }
    settings = list(dict.fromkeys(cell[3] for cell in medians))
    for title, value in (
        ("median", lambda cell, decoder: medians[cell][decoder]),
        ("95th percentile", lambda cell, decoder: tails[*cell, decoder]),
    ):
        print(f"\n{title} relative error by code, root mean square over non-polynomial functions")
        print(f"{'':24}{'':13}" + "".join(f"{name:>12}" for name in compared))
        for setting in sorted(settings):
            for data in DATA:
                row = []
                for code, decoder in compared.values():
                    errors = [
                        value(cell, decoder)
                        for cell in medians
                        if cell[0] == code and cell[2:4] == (data, setting)
                        if cell[1] not in POLYNOMIAL and cell[4] == "random"
                    ]
                    row.append(np.sqrt(np.mean(np.square(errors))) if errors else np.nan)
                print(f"{setting!s:24}{data:13}" + "".join(f"{x:12.2g}" for x in row))


def _exactness(records: Iterable[Record]) -> None:
    print("\nlinear functions, m > k results, and quadratic ones at (8, 40, 8): worst error;")
    print("largest condition of the returned rows with neighbours missing")
    worst: defaultdict[tuple, list[float]] = defaultdict(list)
    for r in records:
        k, n, missing = r.setting
        enough = n - missing > k if r.function == "linear" else n - missing > 3 * k
        if r.decoder == "kriging" and r.function in POLYNOMIAL and enough and r.outputs is None:
            worst[r.code, r.function, r.pattern, r.setting].append(r.error)
    for cell, errors in worst.items():
        if cell[0] in ("berrut", "systematic"):
            print(f"  {cell!s:60} {max(errors):.1e} {_condition(cell[0], *cell[-1]):9.0e}")


def _condition(name: str, k: int, n: int, missing: int) -> float:
    """Largest condition of the returned rows with so many neighbours missing."""
    generator = get_code(name, k, n).generator
    places = range(n - missing + 1)
    return max(
        float(np.linalg.cond(np.delete(generator, np.s_[i : i + missing], axis=0))) for i in places
    )


def _calibration(records: list[Record]) -> None:
    print("\nerror estimates of kriging, draws with an error above 1e-6")
    print(
        f"{'':42}{'draws':>7}{'in 0.5-2':>10}{'< 1/3':>8}{'<=2 bars':>10}{'<=3 bars':>10}"
        f"{'actual/predicted: median':>26}{'worst':>8}"
    )
    krigings = [r for r in records if r.decoder == "kriging" and np.isfinite(r.error)]

    def line(name: str, chosen: Callable[[Record], bool]) -> None:
        pairs = [(r.error, r.predicted) for r in krigings if chosen(r) and r.error > 1e-6]
        if not pairs:
            return
        actual, predicted = np.array(pairs).T
        bars = actual / predicted
        print(
            f"{name:42}{len(bars):7}{np.mean((bars < 2) & (bars > 0.5)):10.3f}"
            f"{np.mean(bars > 3):8.4f}{np.mean(bars <= 2):10.3f}{np.mean(bars <= 3):10.3f}"
            f"{np.median(bars):26.2f}{bars.max():8.1f}"
        )

    def undetermined(r: Record) -> bool:
        return r.function in POLYNOMIAL and r.setting[1] - r.setting[2] <= r.setting[0]

    line("100 outputs or more", lambda r: r.outputs is None)
    line("  but polynomials from k results", lambda r: r.outputs is None and not undetermined(r))
    for function in dict.fromkeys(r.function for r in krigings):
        line(f"  {function}", lambda r, f=function: r.outputs is None and r.function == f)
    for outputs in (1, 5):
        line(f"{outputs} outputs", lambda r, p=outputs: r.outputs == p)
    line("1 to 5 outputs", lambda r: r.outputs is not None)
    small = [r.predicted for r in krigings if r.error <= 1e-6 and r.outputs is None]
    print(f"largest prediction where the error is below 1e-6: {max(small):.1e}")


def _draw(medians: dict[tuple, dict[str, float]], records: list[Record], path: Path) -> None:
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    settings = sorted({cell[3] for cell in medians})
    for decoder, colour in (
        ("berrut", "tab:gray"),
        ("floater-hormann", "tab:orange"),
        ("spline", "tab:green"),
        ("kriging", "tab:blue"),
    ):
        line = [
            np.sqrt(
                np.mean(
                    [
                        errors[decoder] ** 2
                        for cell, errors in medians.items()
                        if cell[0] == "systematic" and cell[3] == setting
                        if cell[1] not in POLYNOMIAL and cell[4] == "random"
                    ]
                )
            )
            for setting in settings
        ]
        left.plot(range(len(settings)), line, "o-", color=colour, label=decoder)
    left.set_xticks(
        range(len(settings)), [f"{k}/{n}\n{missing}" for k, n, missing in settings], fontsize=8
    )
    left.set_xlabel("blocks / chunks, and missing below")
    left.set_ylabel("relative error")
    left.set_yscale("log")
    left.set_title("Decoders, systematic code, non-polynomial functions", fontsize=10)
    left.legend(frameon=False)
    shown = [
        (r.predicted, r.error)
        for r in records
        if r.decoder == "kriging" and r.outputs is None and 1e-8 < r.error < np.inf
    ]
    predicted, actual = np.array(shown).T
    right.plot(predicted, actual, ".", markersize=1, alpha=0.3, color="tab:blue", rasterized=True)
    ends = np.array([1e-8, 1.0])
    right.plot(ends, ends, color="black", linewidth=1)
    for factor in (0.5, 2):
        right.plot(ends, factor * ends, color="black", linewidth=0.7, linestyle=":")
    right.set_xscale("log")
    right.set_yscale("log")
    right.set_xlabel("estimated error")
    right.set_ylabel("actual error")
    right.set_title("Every draw of kriging, 100 outputs and more", fontsize=10)
    for ax in (left, right):
        ax.spines[["top", "right"]].set_visible(False)
    figures.save(figure, path)
