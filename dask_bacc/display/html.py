"""HTML of coded arrays and runs, from templates that escape every value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cache

from dask.utils import format_bytes
from jinja2 import Environment, PackageLoader, Template

from dask_bacc.coding import Code
from dask_bacc.display.grid import MARKS, code_image, grid_image
from dask_bacc.display.line import phase
from dask_bacc.display.palette import COLOURS, OWN, PARITY
from dask_bacc.records.chunk import ChunkRecord
from dask_bacc.records.part import Part
from dask_bacc.records.report import RunReport

#: Chunks up to this number are drawn with their numbers, and say more where they are pointed at.
MOST_NUMBERS = 100
#: The last events, so many, are shown of a run that is over.
MOST_EVENTS = 100
#: How marks are drawn around and inside a cell.
MARK_STYLES = {
    "mixed": "border-radius:10px",
    "copy": f"border-top:3px solid {MARKS['copy']}",
    "backup": f"border-bottom:3px solid {MARKS['backup']}",
    "late": f"outline:2px dashed {MARKS['late']};outline-offset:-2px",
    "suspect": f"outline:2px solid {MARKS['suspect']};outline-offset:-1px",
}
#: How states are drawn, to be told apart without colour as well; the page shines through those
#: that have not begun.
STATE_STYLES = {
    "returned": f"background:{COLOURS['returned'].fill};color:{COLOURS['returned'].text}",
    "running": f"background:{COLOURS['running'].fill};color:#000;border:2px solid #0072B2",
    "waiting": "border:1px solid #999",
    "cancelled": f"background:{COLOURS['cancelled'].fill};color:#000;text-decoration:line-through",
    "erred": f"background:{COLOURS['erred'].fill};color:#fff;border:2px solid #000",
    "spare": "border:1px dashed #999;opacity:0.6",
}


def coded_array_html(code: Code, parts: Sequence[Part], nbytes: int) -> str:
    """A table of what the array is, beside a picture of which blocks each chunk is made of.

    Parameters
    ----------
    code : Code
    parts : sequence of Part
    nbytes : int
        Of all chunks.
    """
    return template("coded_array.html.j2").render(
        code=code,
        parts=parts,
        size=format_bytes(nbytes),
        block_size=format_bytes(nbytes // code.n),
        picture=code_image(code),
        own=int((code.own_blocks >= 0).sum()),
        colours=(OWN, PARITY),
    )


def run_html(status: str, report: RunReport) -> str:
    """A grid of chunks, coloured by their states, above what the report says."""
    late = set(report.late) if status == "pending" else set()
    lost = Counter(event.chunk for event in report.events if event.kind == "lost")
    backups = {i for i, chunk in enumerate(report.chunks) if chunk.backup is not None}
    marks: dict[str, set[int]] = {
        "mixed": set(report.mixed),
        "backup": backups,
        "copy": {e.chunk for e in report.events if e.kind == "copy" and e.chunk is not None},
        "late": late,
        "suspect": set(report.suspects),
    }
    marked = [[name for name in marks if i in marks[name]] for i in range(report.n)]
    states = [chunk.state for chunk in report.chunks]
    present = Counter[str](states)
    return template("run.html.j2").render(
        status=status,
        report=report,
        phase=" · ".join(phase(status, report)),
        cells=[
            {
                "title": _title(chunk, marked[i], lost[i]),
                "style": ";".join(
                    [STATE_STYLES[chunk.state], *(MARK_STYLES[name] for name in marked[i])]
                ),
            }
            for i, chunk in enumerate(report.chunks)
        ]
        if report.n <= MOST_NUMBERS
        else [],
        picture="" if report.n <= MOST_NUMBERS else grid_image(states, marks),
        state_styles=STATE_STYLES,
        mark_styles=MARK_STYLES,
        counts=[(state, present[state]) for state in COLOURS if present[state]],
        events="\n".join(map(str, report.events[-MOST_EVENTS:])) if report.stopped else "",
        mark_counts=[(name, len(chunks)) for name, chunks in marks.items() if chunks],
    )


def _title(chunk: ChunkRecord, marks: list[str], lost: int) -> str:
    """What is known of a chunk, in one line."""
    words = [", ".join([chunk.state, *marks])]
    if chunk.worker is not None:
        words.append(f"on {chunk.worker}")
    if chunk.started is not None:
        words.append(f"from {chunk.started:.2f} s")
    if chunk.ended is not None:
        words.append(f"until {chunk.ended:.2f} s")
    if lost:
        words.append(f"after {lost} other attempt{'s' * (lost > 1)}")
    return " ".join(words)


@cache
def _environment() -> Environment:
    # dask's own template environment does not escape, and names come from users.
    return Environment(
        loader=PackageLoader("dask_bacc.display"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def template(name: str) -> Template:
    """A template of this package, which escapes every value."""
    return _environment().get_template(name)
