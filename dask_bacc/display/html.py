"""HTML of coded arrays and runs, from templates that escape every value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cache

from dask.utils import format_bytes
from jinja2 import Environment, PackageLoader, Template

from dask_bacc.coding import Code
from dask_bacc.display.palette import COLOURS
from dask_bacc.records.chunk import ChunkRecord
from dask_bacc.records.part import Part
from dask_bacc.records.report import RunReport

#: Lines from blocks to chunks beyond this number would be a grey smear.
MOST_LINKS = 600
#: Chunks beyond this number are drawn small, without their numbers.
MOST_NUMBERS = 400
#: The last events, so many, are shown of a run that is over.
MOST_EVENTS = 100
#: How marks are drawn around and inside a cell.
MARK_STYLES = {
    "backup": "border-bottom: 3px solid #0072B2",
    "late": "outline: 2px dashed #D55E00; outline-offset: -2px",
    "suspect": "outline: 2px solid #CC0000; outline-offset: -1px",
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
    height = min(max(120, 6 * code.n), 240)
    block_height, chunk_height = height / code.k, height / code.n
    block_tops = [10 + j * block_height for j in range(code.k)]
    chunk_tops = [10 + i * chunk_height for i in range(code.n)]
    own = (code.own_blocks >= 0).tolist()
    rows = [code.row(i)[0].tolist() for i in range(code.n)]
    links = [
        {
            "y1": block_tops[j] + block_height / 2,
            "y2": chunk_tops[i] + chunk_height / 2,
            "own": own[i],
        }
        for i, row in enumerate(rows)
        for j in row
    ]
    return template("coded_array.html.j2").render(
        code=code,
        parts=parts,
        size=format_bytes(nbytes),
        block_size=format_bytes(nbytes // code.n),
        height=height,
        block_height=block_height,
        chunk_height=chunk_height,
        block_tops=block_tops,
        chunks=[
            {
                "y": y,
                "own": own[i],
                "what": f"block {row[0]}" if own[i] else f"of {len(row)} blocks",
            }
            for i, (y, row) in enumerate(zip(chunk_tops, rows, strict=True))
        ],
        links=links if len(links) <= MOST_LINKS else [],
    )


def run_html(status: str, report: RunReport) -> str:
    """A grid of chunks, coloured by their states, above what the report says."""
    late = set(report.late) if status == "pending" else set()
    lost = Counter(event.chunk for event in report.events if event.kind == "lost")
    backups = {i for i, chunk in enumerate(report.chunks) if chunk.backup is not None}
    marks = {"backup": backups, "late": late, "suspect": set(report.suspects)}
    marked = [[name for name in marks if i in marks[name]] for i in range(report.n)]
    present = Counter[str](chunk.state for chunk in report.chunks)
    return template("run.html.j2").render(
        status=status,
        report=report,
        cells=[
            {
                "state": chunk.state,
                "title": _title(chunk, marked[i], lost[i]),
                "marks": marked[i],
            }
            for i, chunk in enumerate(report.chunks)
        ],
        numbered=report.n <= MOST_NUMBERS,
        colours=COLOURS,
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
