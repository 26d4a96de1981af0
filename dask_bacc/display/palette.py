"""One colour for every state of a chunk, in HTML and in plots alike."""

from __future__ import annotations

from typing import NamedTuple


class Colour(NamedTuple):
    """A fill and the text that can be read on it."""

    fill: str
    text: str


#: Okabe and Ito's palette, which colour-blind readers can tell apart.
COLOURS = {
    "returned": Colour("#009E73", "#ffffff"),
    "running": Colour("#56B4E9", "#000000"),
    "waiting": Colour("#DDDDDD", "#000000"),
    "cancelled": Colour("#E69F00", "#000000"),
    "erred": Colour("#D55E00", "#ffffff"),
    "spare": Colour("#FFFFFF", "#888888"),
}

#: Blocks and the chunks that they are themselves, and chunks that are mixed of several: neither
#: dark nor light, for they are seen on both.
OWN, PARITY = "#C98A2B", "#4A90D9"

#: An attempt at a chunk that was lost with its worker.
LOST = Colour("#CC79A7", "#000000")
