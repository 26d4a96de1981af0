"""Workers that are killed and hang while parity is made on the cluster."""

from __future__ import annotations

import signal

import dask
import pytest
from distributed import futures_of, wait

from benchmarks.processes.cluster import pids, send, until
from tests.faults.strike import Strike
from tests.faults.work import DEADLINE, K, N, X, check, encoded, held, source

GATHERED, SPLIT = 1, 4


KILLED, HUNG = signal.SIGKILL, signal.SIGSTOP


@pytest.mark.parametrize(
    ("sign", "slices", "prefix", "state"),
    [
        (KILLED, GATHERED, "gathered", "executing"),
        (KILLED, GATHERED, "gathered", "memory"),
        (KILLED, GATHERED, "coded", "memory"),
        (KILLED, SPLIT, "rechunk-split", "memory"),
        (KILLED, SPLIT, "gathered", "memory"),
        (KILLED, SPLIT, "coded", "executing"),
        (HUNG, GATHERED, "gathered", "memory"),
        (HUNG, SPLIT, "rechunk-split", "memory"),
        (HUNG, SPLIT, "gathered", "executing"),
    ],
)
def test_a_worker_is_lost_while_parity_is_made(
    start, gate, nothing_left, tmp_path, configure, sign, slices, prefix, state
):
    """All parity stands in for one block, so what was lost has been made again elsewhere."""
    configure({"bacc.encode.slices": slices})
    struck = tmp_path / "struck"
    with start(4, 2).client() as client, nothing_left(client):
        client.register_plugin(Strike(prefix, state, sign, struck))
        options = {"enough": N - 1, "rtol": float("inf"), "deadline": DEADLINE}
        run = encoded(source()).map(held, gate, {0}, client=client, **options)
        report = check(run)
        assert struck.exists()
        assert report.missing == (0,)
        assert report.stopped != "deadline"
        gate.touch()
        del run, report


def test_chunks_are_made_anew_while_a_worker_waits_for_them_from_one_that_hangs(start, hang):
    """Under their own keys the worker would wait for the one that hangs without end."""
    with start(2).client() as client, client.as_current():
        held_by, free = client.scheduler_info()["workers"]
        coded = client.persist(encoded(), workers=[held_by])
        wait(coded)
        key = coded.__dask_keys__()[0][0]
        hang(pids(client)[held_by])
        wanted = client.submit(len, futures_of(coded)[0], workers=[free])

        def state_there(dask_worker):
            known = dask_worker.state.tasks
            return known[key].state if key in known else None

        until(lambda: client.run(state_there, workers=[free])[free] == "flight", 20, "no fetch")
        del coded, wanted
        again = client.persist(encoded().anew(), workers=[free])
        there = client.submit(len, futures_of(again)[0], workers=[free])
        assert there.result(timeout=DEADLINE) == len(X) // K


def wait_for_results(run, count):
    until(lambda: len(run.report.returned) == count, 20, "chunks did not return")


def test_blocks_are_lost_before_the_backup_that_needs_them(start, gate, nothing_left):
    """The backup is sent without them, for they were on the cluster."""
    with start(4, 2).client() as client, nothing_left(client):
        with dask.config.set({"bacc.backup.minimum": 5}):
            run = encoded(source()).map(
                held,
                gate,
                {2},
                launch="backup",
                rtol=float("inf"),
                deadline=DEADLINE,
                client=client,
            )
        wait_for_results(run, 7)
        working = run.report.chunks[2].worker
        victim = next(
            address
            for addresses in client.who_has().values()
            for address in addresses
            if address != working
        )
        assert not [chunk for chunk in run.report.chunks[8:] if chunk.state != "spare"]
        send(pids(client)[victim], signal.SIGKILL)
        report = check(run)
        assert 2 in report.missing
        assert max(report.returned) >= 8
        assert report.stopped != "deadline"
        gate.touch()
        del run, report
