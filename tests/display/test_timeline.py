from __future__ import annotations

import matplotlib as mpl
import pytest
from matplotlib.colors import to_hex

from dask_bacc.cluster.report import ChunkRecord, Ledger
from dask_bacc.display.palette import COLOURS
from dask_bacc.display.timeline import timeline


@pytest.fixture(autouse=True)
def headless():
    with mpl.rc_context({"backend": "agg"}):
        yield
        from matplotlib import pyplot as plt

        plt.close("all")


def test_bars_are_chunks_on_their_workers_in_the_colour_of_their_state():
    ledger = Ledger(k=2, n=4, decoder="berrut")
    ledger.finished = 3.0
    ledger.records = [
        ChunkRecord("returned", "b", 0.5, 1.5),
        ChunkRecord("returned", "a", 0.0, 2.0),
        ChunkRecord("cancelled", "b", 1.5, 3.0),
        ChunkRecord("cancelled", None, None, 3.0),
    ]
    ax = timeline(ledger.report())
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["a", "b", "not started"]
    bars = [
        (round(bar.get_y() + bar.get_height() / 2), bar.get_x(), bar.get_width())
        for bar in ax.patches
    ]
    assert bars[:3] == [(1, 0.5, 1.0), (0, 0.0, 2.0), (1, 1.5, 1.5)]
    colours = [to_hex(bar.get_facecolor()).upper() for bar in ax.patches]
    assert colours[:3] == [COLOURS[s].fill for s in ("returned", "returned", "cancelled")]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["returned", "cancelled"]
