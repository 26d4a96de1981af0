"""Several clients on one scheduler."""

from __future__ import annotations

import numpy as np
from distributed import Client

import dask_bacc
from dask_bacc.engine.scheduler import topic_of
from dask_bacc.runtime.monitor import Monitor
from dask_bacc.worker.messages import unpacked
from tests.shared import wait_until

X = np.linspace(0, 1, 24)


def test_neither_client_gets_a_message_of_the_others_runs(processes, monkeypatch):
    """Inline results would cost the other as much as its own."""
    came: dict[Monitor, list[str]] = {}
    receive = Monitor.receive

    def counted(monitor, worker, payload):
        came.setdefault(monitor, []).extend(message.run for message in unpacked(payload))
        receive(monitor, worker, payload)

    monkeypatch.setattr(Monitor, "receive", counted)
    chunks, rounds = 12, 5
    with Client(processes) as first, Client(processes) as second:
        runs = {client: [] for client in (first, second)}
        for _ in range(rounds):
            for client, started in runs.items():
                coded = dask_bacc.encode(X, k=8, n=chunks)
                started.append(coded.map(np.tanh, rtol=0, client=client))
        for run in (*runs[first], *runs[second]):
            np.testing.assert_array_equal(run.result(timeout=60), np.tanh(X))
        # Every chunk that ran says that it starts and that it ends; eight of each run are in.
        wait_until(lambda: sum(map(len, came.values())) >= 2 * 8 * 2 * rounds)
        heard = [set(names) for names in came.values()]
        assert len(heard) == 2
        assert heard[0].isdisjoint(heard[1])
        names = {client: {run._answer.run.name for run in found} for client, found in runs.items()}
        assert sorted(map(sorted, heard)) == sorted(map(sorted, names.values()))
        # Of what the scheduler has for one, the other has subscribed to nothing.
        subscribers = first.run_on_scheduler(
            lambda dask_scheduler, topics: [
                dask_scheduler._broker._topics[topic].subscribers for topic in topics
            ],
            topics=[topic_of(first), topic_of(second)],
        )
        assert subscribers == [{first.id}, {second.id}]
