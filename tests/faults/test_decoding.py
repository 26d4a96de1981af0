"""Workers that are killed while an answer is decoded from the results that they hold."""

from __future__ import annotations

import signal

import dask
import numpy as np
import pytest

import dask_bacc
from dask_bacc import coding
from tests.faults.strike import Strike
from tests.faults.work import DEADLINE, X, source, wide

#: Dask's own recovery: a worker may try for 30 s (`distributed.comm.timeouts.connect`) to reach
#: one of whose death it heard just before it began to.
RECOVERY = 90.0


@pytest.mark.parametrize(
    ("slices", "prefix"),
    [
        (0, "bacc"),
        (1, "gathered"),
        (4, "rechunk-split"),
        (4, "gathered"),
    ],
)
def test_a_worker_is_killed_while_an_answer_is_decoded(
    start, nothing_left, tmp_path, configure, slices, prefix
):
    """Results that are lost with it are computed again, and decode to the same."""
    configure({"bacc.encode.slices": slices})
    struck = tmp_path / "struck"
    with start(4).client() as client, nothing_left(client):
        coded = dask_bacc.encode(source(), k=8, n=12, code="berrut")
        with dask.config.set({"bacc.gather-limit": "100 B"}):
            run = coded.map(wide, enough=12, decoder="berrut", deadline=DEADLINE, client=client)
            lazy = run.to_dask_array(timeout=DEADLINE)
        client.register_plugin(Strike(prefix, "memory", signal.SIGKILL, struck))
        answer = client.compute(lazy).result(timeout=RECOVERY)
        assert struck.exists()
        chunks = dask_bacc.encode(X, k=8, n=12, code="berrut").compute(scheduler="sync")
        results = {i: wide(chunks[i]) for i in run.report.returned}
        expected = coding.decode(coded.code, results, decoder="berrut").blocks
        np.testing.assert_allclose(answer, np.concatenate(expected), atol=1e-12)
        del run, lazy
