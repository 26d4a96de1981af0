"""What chunks say of themselves while they run."""

from __future__ import annotations

import time

import numpy as np

import dask_bacc
from dask_bacc.engine.scheduler import topic_of
from dask_bacc.worker.messages import unpacked
from tests.shared import wait_until


def test_a_chunk_that_takes_no_time_starts_and_ends_in_one_message(client):
    rounds, chunks, begin = 20, 2, time.time()

    def messages():
        return [
            [message.state for message in unpacked(event["bacc"])]
            for sent, event in client.get_events(topic_of(client))
            if sent >= begin
        ]

    coded = dask_bacc.encode(np.arange(2.0), k=chunks, n=chunks, code="uncoded")
    for _ in range(rounds):
        np.testing.assert_array_equal(coded.map(np.negative).result(), [0, -1])
    wait_until(lambda: sum(states.count("done") for states in messages()) >= rounds * chunks)
    # A busy machine may take the thread away from a chunk for longer than its messages wait.
    alone = sum(set(states) == {"running"} for states in messages())
    assert alone < rounds * chunks / 2
