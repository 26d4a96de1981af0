"""Where the figures of the documentation are."""

from __future__ import annotations

import argparse
from pathlib import Path

from matplotlib.figure import Figure

IMAGES = Path(__file__).parents[1] / "docs" / "images"


def add_option(parser: argparse.ArgumentParser, name: str) -> None:
    """Have ``--figure`` say where the figure goes, by default to the documentation."""
    parser.add_argument(
        "--figure", type=Path, default=IMAGES / name, help="file to draw the figure to"
    )


def save(figure: Figure, path: Path) -> None:
    """Write the figure, and say where."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    print(f"\nfigure: {path}")
