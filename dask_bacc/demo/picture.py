"""One picture of the demo: how long each job took, and how far off it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dask_bacc.demo.outcome import Outcome, how_far_off

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Colours of coded runs and of plain Dask.
OURS, THEIRS = "#0072B2", "#B0B0B0"
HEIGHT = 0.36


def draw(ax: Axes, outcomes: Sequence[Outcome], patience: float) -> None:
    """Two bars for every job: a coded run's and plain Dask's."""
    for row, outcome in enumerate(outcomes):
        ours = patience if outcome.coded is None else outcome.coded
        ax.barh(row - HEIGHT / 2, ours, HEIGHT, color=OURS, label="dask_bacc" if not row else None)
        text = "no answer" if outcome.coded is None else f"{ours:.1f} s, {how_far_off(outcome)}"
        ax.text(ours + 0.1, row - HEIGHT / 2, text, va="center", color=OURS, weight="bold")
        theirs = patience if outcome.plain is None else outcome.plain
        ax.barh(
            row + HEIGHT / 2,
            theirs,
            HEIGHT,
            color=THEIRS,
            hatch="///" if outcome.plain is None else None,
            edgecolor="white",
            label="map_blocks" if not row else None,
        )
        if outcome.plain is None:
            text = f"no answer: {outcome.blocks} of 8 blocks"
            ax.text(
                0.15,
                row + HEIGHT / 2,
                text,
                va="center",
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
            )
        else:
            ax.text(theirs + 0.1, row + HEIGHT / 2, f"{theirs:.1f} s", va="center")
    names = [f"{outcome.job.name}\n({outcome.job.kind})" for outcome in outcomes]
    ax.set_yticks(range(len(outcomes)), names)
    ax.invert_yaxis()
    ax.set_xlim(0, patience * 1.02)
    ax.set_xlabel("seconds to the answer")
    ax.set_title("One of eight workers stopped, one slowed to a tenth", loc="left", weight="bold")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2, frameon=False)
    ax.spines[["top", "right"]].set_visible(False)
