"""What the dashboard shows of coded runs: a table of them, and the chunks of every worker."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from html import escape
from typing import Any

from bokeh.models import ColumnDataSource, FactorRange, Range1d
from bokeh.models.widgets import Div
from bokeh.plotting import figure
from distributed import Scheduler

from dask_bacc.dashboard.seen import SeenRun, SeenWorker, runs, workers
from dask_bacc.display.palette import COLOURS
from dask_bacc.engine.dashboard import Page
from dask_bacc.records.chunk import ChunkState

#: From the left of a bar to its right.
STATES: tuple[ChunkState, ...] = ("returned", "running", "waiting")
#: Pixels of a worker's bar, and of what is around all of them.
BAR, AROUND = 26, 90

COLUMNS = {
    "function": "Function",
    "state": "State",
    "chunks": "Chunks",
    "blocks": "Blocks",
    "error": "Estimated error",
    "seconds": "Seconds",
    "workers": "Workers",
    "run": "Run",
}
STYLE = """
table { border-collapse: collapse; width: 100%; font-size: 12px }
th, td { border-bottom: 1px solid #ddd; padding: 4px 8px; text-align: left }
"""


def row_of(run: SeenRun) -> dict[str, str]:
    """What the table says of a run, by column."""
    ended = run.ended
    troubles = {} if ended is None else ended["troubles"]
    return {
        "function": run.function,
        "state": "running" if ended is None else ended["stopped"],
        "chunks": f"{run.returned} of {run.n}" + (f", {run.copies} copies" if run.copies else ""),
        "blocks": "" if ended is None else str(ended["k"]),
        "error": "" if ended is None else _error(ended["error"]),
        "seconds": "" if run.seconds is None else f"{run.seconds:.1f}",
        "workers": "; ".join(f"{worker} {what}" for worker, what in troubles.items()),
        "run": run.run[:8],
    }


def _error(error: float | None) -> str:
    if error is None:
        return "not known"
    return f"{error:.2g}" if error else "exact"


def table_of(seen: list[SeenRun]) -> str:
    """A table of runs, as HTML."""
    head = "".join(f"<th>{title}</th>" for title in COLUMNS.values())
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(row[name])}</td>" for name in COLUMNS) + "</tr>"
        for row in map(row_of, seen)
    )
    nothing = "" if rows else "<p>No coded run yet.</p>"
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{nothing}"


class Runs:
    """A table of runs, those that go on first."""

    def __init__(self, scheduler: Scheduler, began: Mapping[str, float]) -> None:
        self._scheduler, self._began = scheduler, began
        # Bokeh's own table stays as it is when its cells change and their number does not.
        self.root = Div(sizing_mode="stretch_width", stylesheets=[STYLE])

    def update(self) -> None:
        """Show how things stand."""
        self.root.text = table_of(runs(self._scheduler, self._began))


def bars_of(seen: list[SeenWorker]) -> dict[str, list[Any]]:
    """Bars of workers, by column: address, counts of states, and what is said beside them."""
    said = []
    for worker in seen:
        here = [f"{count} {state}" for state in STATES if (count := worker.chunks.get(state))]
        said.append(" · ".join([*here, *filter(None, [worker.trouble])]))
    return {
        "worker": [worker.address for worker in seen],
        **{state: [worker.chunks.get(state, 0) for worker in seen] for state in STATES},
        "all": [sum(worker.chunks.values()) for worker in seen],
        "said": said,
    }


class Workers:
    """A bar for every worker: its chunks by state, and what is the matter with it."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._source = ColumnDataSource(bars_of([]))
        self._workers, self._width = FactorRange(), Range1d(start=0, end=1)
        self.root = figure(
            title="Chunks by worker",
            x_range=self._width,
            y_range=self._workers,
            toolbar_location=None,
            tools="",
            sizing_mode="stretch_width",
        )
        self.root.hbar_stack(
            STATES,
            y="worker",
            height=0.8,
            source=self._source,
            color=[COLOURS[state].fill for state in STATES],
            line_color="white",
            legend_label=list(STATES),
        )
        self.root.text(
            x="all",
            y="worker",
            text="said",
            source=self._source,
            x_offset=6,
            text_baseline="middle",
            text_font_size="12px",
        )
        self.root.legend.orientation = "horizontal"
        self.root.add_layout(self.root.legend[0], "below")
        self.root.xgrid.grid_line_color = self.root.ygrid.grid_line_color = None
        self.root.xaxis.visible = False

    def update(self) -> None:
        """Show how things stand."""
        data = bars_of(workers(self._scheduler))
        if data == self._source.data:
            return
        # From the top down.
        self._workers.factors = data["worker"][::-1]
        # Half of the width is for what is said beside bars.
        self._width.end = 2.0 * max([*data["all"], 1])
        self.root.height = AROUND + BAR * max(len(data["worker"]), 1)
        self._source.data = data


def pages(began: Mapping[str, float]) -> dict[str, Page]:
    """All pages, by their addresses.

    Parameters
    ----------
    began : mapping of str to float
        When runs were submitted; looked at anew each time.
    """
    table = partial(Runs, began=began)
    return {
        "/bacc": Page("Coded runs", [table, Workers]),
        "/individual-bacc-runs": Page("Coded runs", [table], is_panel=True),
        "/individual-bacc-workers": Page("Chunks by worker", [Workers], is_panel=True),
    }
