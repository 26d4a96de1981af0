"""A plan as text, as a table and as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from dask_bacc.display.html import template
from dask_bacc.planning.forecast import Forecast

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HEADS = ("", "n", "error", "p50", "p99", "work")


def plan_rows(forecasts: Sequence[Forecast]) -> list[tuple[str, ...]]:
    """The cells of a table, without its heads."""
    return [
        (
            f.choice.name,
            str(f.choice.n),
            "exact" if f.error == 0 else f"{f.error:.1e}" if np.isfinite(f.error) else "no answer",
            _seconds(f.p50),
            _seconds(f.p99),
            f"{f.work:.2f}",
        )
        for f in forecasts
    ]


def plan_text(forecasts: Sequence[Forecast], best: Forecast, title: str) -> str:
    """A table in plain text; the recommended line has an arrow."""
    rows = [HEADS, *plan_rows(forecasts)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEADS))]
    marks = ["  ", *("> " if f is best else "  " for f in forecasts)]
    lines = [
        mark + "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])])
        for mark, row in zip(marks, rows, strict=True)
    ]
    return "\n".join([title, *lines])


def plan_html(forecasts: Sequence[Forecast], best: Forecast, title: str) -> str:
    """The same as HTML."""
    rows = [
        {"cells": cells, "best": f is best}
        for f, cells in zip(forecasts, plan_rows(forecasts), strict=True)
    ]
    return template("plan.html.j2").render(title=title, heads=HEADS, rows=rows)


def plan_picture(
    forecasts: Sequence[Forecast], best: Forecast, rtol: float, ax: Axes | None
) -> Axes:
    """Median to 99th percentile of each choice's time over its work."""
    try:
        from matplotlib import pyplot as plt
    except ImportError as error:
        raise ImportError("pictures of plans need matplotlib: pip install matplotlib") from error
    shown = [f for f in forecasts if np.isfinite(f.p99)]
    if ax is None:
        _, ax = plt.subplots(figsize=(8, 0.4 * len(shown) + 1.4), layout="constrained")
    for row, f in enumerate(shown):
        good = f.bar <= rtol
        colour = "#D55E00" if f is best else "#0072B2" if good else "#999999"
        ax.plot([f.p50, f.p99], [row, row], color=colour, linewidth=3, solid_capstyle="round")
        ax.plot([f.p50], [row], "o", color=colour, markersize=7)
    cells = plan_rows(shown)
    ax.set_yticks(range(len(shown)), [cell[0] for cell in cells])
    for row, (f, cell) in enumerate(zip(shown, cells, strict=True)):
        ax.annotate(
            f"{cell[2]}, work {f.work:.2g}",
            (f.p99, row),
            (8, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
    ax.invert_yaxis()
    ax.set_xlim(0, 1.3 * max(f.p99 for f in shown))
    ax.set_xlabel("seconds to the answer: median (dot) to 99th percentile")
    ax.set_title(f"recommended: {best.choice.name} (orange); grey: error above {rtol:g}")
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def _seconds(value: float) -> str:
    return f"{value:.3g} s" if np.isfinite(value) else "never"
