"""The graph of a run, and parts of it that are launched anew."""

from __future__ import annotations

import dask.array as da
import numpy as np

import dask_bacc
from dask_bacc.graphs.call import Call, Chunks, run_graph
from tests.shared import X, legacy


def test_what_chunks_are_made_of_is_found_in_old_graphs_too(client):
    """A worker that hangs with something of an old graph need not be waited for."""
    factor = legacy(3.0)
    array = da.from_array(X, chunks=(3, -1))
    coded = dask_bacc.encode(array, n=12)
    keys = [[(coded.parts[0].name, i)] for i in range(12)]
    chunks = Chunks(coded.__dask_graph__(), keys, [(3, 2)])
    call = Call(np.multiply, (factor,), {})
    run = run_graph(chunks, call, topic="", sketched={}, limit=1e6, accepts=["finite"] * 12)
    inner = {key for key in factor.__dask_graph__() if key.startswith("number")}
    assert run.needed(3) & inner
    assert run.can_make(run.needed(3))
    again = run.again({3: 0}, "-again", anew=True).graph
    assert not inner & again.keys()
    assert any(str(key).startswith("number") for key in again)
