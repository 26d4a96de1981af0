"""What rounds remember."""

from __future__ import annotations

import numpy as np

from dask_bacc.results.memory import RoundsMemory
from dask_bacc.results.result import flat_result


def test_a_round_that_is_decided_twice_is_remembered_once():
    """First with results that stay on workers, then with these results here."""
    memory = RoundsMemory(keep=2)
    results = {chunk: flat_result(np.full(3, float(chunk))) for chunk in range(2)}
    specs = {chunk: result.spec() for chunk, result in results.items()}
    for turn in range(2):
        earlier = memory.begin(float(turn))
        earlier.keep(specs, {}, (), {chunk: (object(), "a") for chunk in specs})
        earlier.keep(specs, results, (), {})
    past = memory.begin(2.0).past
    assert [(p.chunk, p.turn) for p in past] == [(0, 0), (1, 0), (0, 1), (1, 1)]
    assert all(p.result is not None for p in past)
