"""Pictures of many chunks and of what chunks are made of, as images that any page shows.

Notebooks that nobody has vouched for lose scripts and inline SVG, and keep images.
"""

from __future__ import annotations

import base64
import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from dask_bacc.coding import Code
from dask_bacc.display.palette import COLOURS, OWN, PARITY

#: Width of a grid in pixels, and the cells that it has at most.
WIDTH, MOST_CELLS = 640, 3000
#: Pixels from cell to cell: of few cells, and of more than so many.
WIDE, NARROW, MANY = 12, 8, 1000
#: Shapes of states in cells of eight by eight, to be told apart without colour as well.
SHAPES = {
    "returned": "h8v8h-8z",
    "running": "h8v8h-8zm2 2v4h4v-4z",
    "waiting": "m2 2h4v4h-4z",
    "cancelled": "h8l-8 8z",
    "erred": "h2l2 3l2-3h2l-3 4l3 4h-2l-2-3l-2 3h-2l3-4z",
    "spare": "m3 3h2v2h-2z",
}
#: Colours of marks on cells.
MARKS = {
    "mixed": "#777777",
    "backup": "#0072B2",
    "copy": "#CC79A7",
    "late": "#D55E00",
    "suspect": "#CC0000",
}
#: Lines of marks, from the upper left corner of a cell: at the left, below, above, all around.
LINES = {"mixed": "v8", "backup": "m0 8.4h8", "copy": "m0-.4h8"}
AROUND = "m-.6-.6h9.2v9.2h-9.2z"
#: Links from blocks to chunks beyond this number are drawn as one shape.
MOST_LINKS = 600
#: Bars of blocks and chunks that are thinner than this have no edges.
EDGED = 4.0


def grid_image(states: Sequence[str], marks: Mapping[str, Collection[int]]) -> str:
    """A grid of chunks in the shapes and colours of their states, as the source of an image.

    Parameters
    ----------
    states : sequence of str
        Of `ChunkRecord`. Of more than `MOST_CELLS` chunks they are drawn in proportion, those that
        have returned first.
    marks : mapping of str to collections of int
        Chunks that have something of note, by what that is.
    """
    if (count := len(states)) > MOST_CELLS:
        states, marks = _in_proportion(states), {}
    pitch = WIDE if len(states) <= MANY else NARROW
    columns = WIDTH // pitch
    height = math.ceil(len(states) / columns) * pitch
    places: dict[str, list[str]] = {}
    for i, state in enumerate(states):
        row, column = divmod(i, columns)
        places.setdefault(state, []).append(f"M{10 * column} {10 * row}{SHAPES[state]}")
    drawn = [
        f'<path fill="{COLOURS[state].fill}" d="{"".join(paths)}"/>'
        for state, paths in places.items()
    ]
    for name, chunks in marks.items():
        corners = (divmod(i, columns) for i in sorted(chunks))
        lines = "".join(f"M{10 * c} {10 * r}{LINES.get(name, AROUND)}" for r, c in corners)
        drawn.append(f'<path fill="none" stroke="{MARKS[name]}" stroke-width="1.4" d="{lines}"/>')
    inner = f'<g transform="translate(1 1) scale({pitch / 10:g})">{"".join(drawn)}</g>'
    text = f"{count} chunks, each in the shape of its state"
    return _image(inner, WIDTH, height, text)


def code_image(code: Code) -> str:
    """Blocks on the left, chunks on the right and what these are made of, as an image's source."""
    height = min(max(120, 6 * code.n), 240)
    per_block, per_chunk = height / code.k, height / code.n
    rows = [code.row(i)[0].tolist() for i in range(code.n)]
    own = (code.own_blocks >= 0).tolist()
    links = [(i, j) for i, row in enumerate(rows) for j in row]
    drawn = []
    if len(links) <= MOST_LINKS:
        for i, j in links:
            ends = f'y1="{(j + 0.5) * per_block:.4g}" y2="{(i + 0.5) * per_chunk:.4g}"'
            look = f'stroke="{OWN if own[i] else PARITY}" opacity="{0.9 if own[i] else 0.5}"'
            drawn.append(f'<line x1="50" x2="150" {ends} {look}/>')
    else:
        for kind, colour in ((True, OWN), (False, PARITY)):
            chunks = [i for i in range(code.n) if own[i] is kind]
            if not chunks:
                continue
            blocks = [j for i in chunks for j in rows[i]]
            left = f"50,{min(blocks) * per_block:.4g} 50,{(max(blocks) + 1) * per_block:.4g}"
            span = ((max(chunks) + 1) * per_chunk, min(chunks) * per_chunk)
            right = " ".join(f"150,{end:.4g}" for end in span)
            drawn.append(f'<polygon points="{left} {right}" fill="{colour}" opacity="0.3"/>')
    drawn += [_bar(0, j * per_block, per_block, OWN) for j in range(code.k)]
    drawn += [
        _bar(150, i * per_chunk, per_chunk, OWN if own[i] else PARITY) for i in range(code.n)
    ]
    text = f"{code.k} blocks and the {code.n} chunks that are made of them"
    return _image(f'<g transform="translate(0 1)">{"".join(drawn)}</g>', 200, height + 2, text)


def _bar(x: int, y: float, height: float, colour: str) -> str:
    gap = 1.0 if height >= EDGED else 0.0
    return f'<rect x="{x}" y="{y:.4g}" width="50" height="{height - gap:.4g}" fill="{colour}"/>'


def _in_proportion(states: Sequence[str]) -> list[str]:
    """`MOST_CELLS` states, as many of each kind as there are in proportion."""
    counts, found = Counter(states), list[str]()
    seen = 0
    for state in SHAPES:
        seen += counts[state]
        found += [state] * (seen * MOST_CELLS // len(states) - len(found))
    return found


def _image(inner: str, width: int, height: int, text: str) -> str:
    page = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'role="img"><title>{text}</title>{inner}</svg>'
    )
    return f"data:image/svg+xml;base64,{base64.b64encode(page.encode()).decode()}"
