"""What a client asks of its scheduler."""

from __future__ import annotations

import numpy as np

import dask_bacc
from dask_bacc.engine.scheduler import topic_of
from tests.shared import X


def test_a_scheduler_that_was_started_anew_is_asked_for_messages_again(client, patient):
    dask_bacc.encode(X, k=8, n=12).map(np.tanh).result(timeout=60)
    client.unsubscribe_topic(topic_of(client))
    run = dask_bacc.encode(X, k=8, n=12).map(np.tanh, enough=12)
    run.result(timeout=60)
    assert all(run.report.chunks[chunk].worker for chunk in run.report.returned)
