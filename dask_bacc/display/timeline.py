"""A picture of a run: chunks on a time axis, a row or more per worker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dask_bacc.display.bars import Bar, bars_of, rows_of
from dask_bacc.display.palette import COLOURS, LOST

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from dask_bacc.records.report import RunReport

#: Colours of bars by their outcomes.
FILLS = {**COLOURS, "lost": LOST}

#: Rows beyond this number are not named, and are drawn without gaps.
MOST_NAMES = 60
#: Inches of a row, of a picture without rows, and of the highest picture.
ROW, MARGIN, HIGHEST = 0.3, 1.5, 12.0
#: Characters of the list of chunks that no worker started.
MOST_TEXT = 60
#: Pixels of an inch, and those from which on a bar has edges.
PIXELS, EDGED = 100, 4
#: Size of the numbers in bars, in points.
NUMBER = 8.0


def timeline(report: RunReport, ax: Axes | None = None) -> Axes:
    """Draw when each chunk ran on which worker and how it ended.

    A bar is a worker's time with a chunk; a thin grey line before it the time that the chunk
    waited while the worker had nothing else of the run, one behind it the time until its result
    was here. Diamonds mark backups. Pale bars after the answer are cancelled functions that had
    not returned. Chunks that no worker had started share a row. Workers that were slow in runs
    before this one, or with which something was the matter, are said to be. Text and background
    are those of matplotlib's style, ``plt.style.use("dark_background")`` for one.

    Parameters
    ----------
    report : RunReport
    ax : matplotlib.axes.Axes, optional
        By default those of a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> from dask_bacc import ChunkRecord, RunReport
    >>> chunks = (ChunkRecord("returned", "a", 0.0, 1.0), ChunkRecord("cancelled", ended=1.0))
    >>> report = RunReport(1, 2, (0,), (1,), {}, (1,), {}, "berrut", None, None, None, 1.0, chunks)
    >>> [tick.get_text() for tick in timeline(report).get_yticklabels()]
    ['a', 'not started']
    """
    try:
        from matplotlib import pyplot as plt
    except ImportError as error:
        raise ImportError(
            "pictures of runs need matplotlib: install it with `pip install matplotlib` or "
            "`conda install matplotlib`"
        ) from error
    bars = bars_of(report)
    names, rows = rows_of(bars)
    idle = [i for i, c in enumerate(report.chunks) if c.worker is None and c.state != "spare"]
    # Those that were given nothing, or never began it, have a row, too.
    kept_off = sorted((report.slow.keys() | report.troubles.keys()) - set(names))
    labels = [*names, *kept_off, *(["not started"] if idle else [])]
    if ax is None:
        height = min(MARGIN + ROW * max(len(labels), 2), HIGHEST)
        _, ax = plt.subplots(figsize=(9, height), layout="constrained")
    right = max([report.seconds, *(bar.end for bar in bars)]) * 1.04 or 1.0
    ax.set_xlim(0, right)
    ax.set_ylim(len(labels) - 0.5, -0.5)
    _draw_waiting(ax, report, bars, rows)
    _draw_bars(ax, report, bars, rows, len(labels), right)
    if idle:
        _draw_idle(ax, report, idle, len(labels) - 1)
    if report.stopped is not None:
        failed = any(event.kind == "failed" for event in report.events)
        label = "end" if failed else "answer"
        ax.axvline(report.seconds, color=_ink(), linewidth=1.2, label=label, zorder=4)
    _name_rows(ax, [_label(report, name) for name in labels])
    ax.set_xlabel("seconds since submission")
    ax.set_title(_title(report), loc="left", fontsize=10)
    _draw_legend(ax)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def _label(report: RunReport, name: str) -> str:
    """A worker with what was the matter with it."""
    notes = [*(["slow"] if name in report.slow else []), report.troubles.get(name, "")]
    said = ", ".join(filter(None, notes))
    return f"{name} ({said})" if said else name


def _draw_waiting(ax: Axes, report: RunReport, bars: Sequence[Bar], rows: Sequence[int]) -> None:
    """Thin lines for the time before a chunk started and for its result's way here."""
    lines = []
    before: dict[int, float] = {}
    for bar, row in zip(bars, rows, strict=True):
        chunk = report.chunks[bar.chunk]
        lines.append((row, before.get(bar.chunk, chunk.backup or 0.0), bar.begin))
        before[bar.chunk] = bar.end
        if bar.outcome == "returned" and chunk.ended is not None:
            lines.append((row, bar.end, chunk.ended))
    if lines:
        y, begins, ends = zip(*lines, strict=True)
        colour = COLOURS["waiting"].fill
        ax.hlines(y, begins, ends, colors=colour, linewidth=2, label="queued, under way", zorder=1)


def _draw_bars(
    ax: Axes,
    report: RunReport,
    bars: Sequence[Bar],
    rows: Sequence[int],
    count: int,
    right: float,
) -> None:
    dense = count > MOST_NAMES
    height = 1.0 if dense else 0.72
    pixel = right / max(_inches(ax)[0] * PIXELS, 1.0)
    for outcome, colour in FILLS.items():
        chosen = [i for i, bar in enumerate(bars) if bar.outcome == outcome]
        if not chosen:
            continue
        ax.barh(
            [rows[i] for i in chosen],
            # What takes less than a pixel is seen all the same, and edges would hide what is thin.
            [max(bars[i].end - bars[i].begin, pixel) for i in chosen],
            left=[bars[i].begin for i in chosen],
            height=height,
            color=colour.fill,
            edgecolor=ax.get_facecolor(),
            linewidth=[
                0.6 if not dense and bars[i].end - bars[i].begin > EDGED * pixel else 0.0
                for i in chosen
            ],
            label=outcome,
            zorder=2,
        )
    at_it = [i for i, b in enumerate(bars) if b.chunk in report.still_running]
    at_it = [i for i in at_it if bars[i].outcome == "cancelled"]
    for i in at_it:
        ax.fill_betweenx(
            [rows[i] - height / 2, rows[i] + height / 2],
            bars[i].end,
            right,
            color=COLOURS["cancelled"].fill,
            alpha=0.3,
            linewidth=0,
            label="may still run" if i == at_it[0] else None,
            zorder=2,
        )
    backups = [
        (row, bar.begin)
        for bar, row in zip(bars, rows, strict=True)
        if report.chunks[bar.chunk].backup is not None
    ]
    if backups:
        y, x = zip(*backups, strict=True)
        ax.plot(x, y, "D", color=_ink(), markersize=4, label="backup", zorder=5)
    _draw_numbers(ax, bars, rows, height / count, right)


def _draw_numbers(
    ax: Axes, bars: Sequence[Bar], rows: Sequence[int], share: float, right: float
) -> None:
    """The chunks' numbers where there is room for them, in bars of a share of the height."""
    width, depth = _inches(ax)
    across = width * 72 / right
    if share * depth * 72 <= NUMBER:
        return
    for bar, row in zip(bars, rows, strict=True):
        text = str(bar.chunk)
        if (bar.end - bar.begin) * across > NUMBER * (0.7 * len(text) + 0.7):
            ax.text(
                (bar.begin + bar.end) / 2,
                row,
                text,
                ha="center",
                va="center_baseline",
                fontsize=NUMBER,
                color=FILLS[bar.outcome].text,
                zorder=3,
                clip_on=True,
            )


def _draw_idle(ax: Axes, report: RunReport, idle: Sequence[int], row: int) -> None:
    """One line for all chunks that no worker started: they waited, and took nobody's time."""
    end = max(
        report.seconds if report.chunks[i].ended is None else report.chunks[i].ended or 0.0
        for i in idle
    )
    ax.hlines([row], 0, end, colors=COLOURS["waiting"].fill, linewidth=2, zorder=1)
    numbers = ", ".join(map(str, idle))
    text = numbers if len(numbers) <= MOST_TEXT else f"{len(idle)} chunks"
    ax.text(
        end / 2,
        row,
        text,
        ha="center",
        va="center",
        fontsize=NUMBER,
        bbox={"facecolor": ax.get_facecolor(), "edgecolor": "none", "pad": 1},
    )


def _title(report: RunReport) -> str:
    text = f"{len(report.returned)} of {report.n} chunks returned (k={report.k}); {report.state}"
    return f"{text}; estimated error {report.error:.2g}" if report.error else text


def _draw_legend(ax: Axes) -> None:
    handles, labels = ax.get_legend_handles_labels()
    order = [*COLOURS, "lost", "may still run", "backup", "queued, under way", "answer", "end"]
    ours = [pair for pair in zip(labels, handles, strict=True) if pair[0] in order]
    shown = sorted(ours, key=lambda pair: order.index(pair[0]))
    below = 0.55 / _inches(ax)[1]
    ax.legend(
        [handle for _, handle in shown],
        [label for label, _ in shown],
        loc="upper left",
        bbox_to_anchor=(0, -below),
        ncols=len(shown),
        columnspacing=1.2,
        handlelength=1.4,
        frameon=False,
        fontsize=8,
    )


def _ink() -> str:
    """The colour that text has in the style that is in force."""
    from matplotlib import rcParams

    return str(rcParams["text.color"])


def _inches(ax: Axes) -> tuple[float, float]:
    """Width and height of the axes."""
    box = ax.get_window_extent()
    figure = ax.get_figure(root=True)
    assert figure is not None
    return float(box.width / figure.dpi), float(box.height / figure.dpi)


def _name_rows(ax: Axes, labels: Sequence[str]) -> None:
    if len(labels) > MOST_NAMES:
        ax.set_yticks([])
        ax.set_ylabel(f"{len(set(labels) - {'not started'})} workers")
        return
    # The name of a worker with several rows stands at the first of them.
    first = [row for row, name in enumerate(labels) if row == 0 or labels[row - 1] != name]
    ax.set_yticks(first, [labels[row] for row in first], fontsize=8)
    ax.tick_params(axis="y", length=0)
