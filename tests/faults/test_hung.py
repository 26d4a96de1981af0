"""Workers that hang before, during and after their chunks, or with what chunks are made of."""

from __future__ import annotations

import signal

import dask.array as da
import numpy as np
import pytest

import dask_bacc
from benchmarks.processes.cluster import Cluster, pids, send, until
from tests.faults.work import (
    DEADLINE,
    N,
    X,
    check,
    encoded,
    held,
    source,
    stops,
    wait_for_start,
    wait_for_trouble,
    wide,
)


@pytest.fixture(scope="module")
def nodes():
    cluster = Cluster(6, preload=("tests.faults.work",))
    try:
        with cluster.client() as client:
            yield client
    finally:
        cluster.close()


@pytest.fixture
def client(nodes, nothing_left, gate):
    """A cluster that is well again after every test: who hung goes on, and nothing is left."""
    found = pids(nodes)
    encoded().map(wide, client=nodes, enough=N, rtol=0).result(timeout=120)
    with nothing_left(nodes):
        yield nodes
        gate.touch()
        for pid in found.values():
            send(pid, signal.SIGCONT)


def finished(client):
    states = client.futures.values()
    until(lambda: all(state.status == "finished" for state in states), 20, "no data")


@pytest.mark.parametrize("launch", ["eager", "backup"])
@pytest.mark.parametrize("when", ["before", "during", "after"])
def test_a_worker_hangs(client, gate, hang, when, launch):
    found = pids(client)
    victim = next(iter(found))
    if when == "before":
        hang(found[victim])
        gate.touch()
    options = {"launch": launch, "rtol": np.inf, "deadline": DEADLINE}
    run = encoded().map(held, gate, client=client, **options)
    if when == "during":
        wait_for_start(run, 6)
        hang(found[victim])
        gate.touch()
    elif when == "after":
        wait_for_start(run, 6)
        # The victim is at its chunk when it hangs; what it finishes first is out of reach too.
        gate.touch()
        hang(found[victim])
    report = check(run)
    assert report.stopped != "deadline"
    if when != "after":
        assert victim not in {report.chunks[i].worker for i in report.returned}


def test_only_chunks_of_the_worker_that_hangs_are_launched_again(client, gate, hang, configure):
    """Others are made of its blocks as well, and have them."""
    configure({"bacc.timing.probe-every": 0.1})
    found = pids(client)
    coded = dask_bacc.encode(source().rechunk((12, 3)), k=4, n=6)
    run = coded.map(held, gate, client=client, enough=6, rtol=0, deadline=2 * DEADLINE)
    # Dask may have put two of them on one worker.
    until(lambda: started(run) >= {1} and len(started(run)) >= 5, 120, "chunks did not start")
    victim, others = run.report.chunks[1].worker, started(run) - {1}
    hang(found[victim])

    def again():
        return {event.chunk for event in run.report.events if event.kind == "lost"}

    until(again, 120, "nothing was launched again")
    gate.touch()
    assert check(run, 2 * DEADLINE).error == 0
    assert 1 in again()
    assert not again() & others


def started(run):
    return {i for i, chunk in enumerate(run.report.chunks) if chunk.worker is not None}


@pytest.mark.parametrize("launch", ["eager", "backup"])
@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_a_worker_hangs_with_source_blocks(client, gate, hang, when, launch):
    """Parity of its blocks cannot be made; what is missing is missing, and the deadline holds."""
    data = client.persist(source())
    finished(client)
    found = pids(client)
    victim = next(workers[0] for workers in client.who_has().values() if workers)
    if when == "before":
        hang(found[victim])
    run = encoded(data).map(
        held, gate, client=client, launch=launch, deadline=4, rtol=np.inf, enough=N
    )
    hang(found[victim])
    gate.touch()
    report = check(run)
    assert report.seconds < 9
    assert report.missing
    del run, data


@pytest.mark.parametrize("rtol", [0.05, np.inf])
def test_a_worker_hangs_with_more_chunks_than_can_be_missed(client, gate, hang, rtol):
    """Nothing else can come: the others' answer is given, if that is good enough."""
    coded = client.persist(encoded())
    finished(client)
    victim = next(workers[0] for workers in client.who_has().values() if workers)
    hang(pids(client)[victim])
    gate.touch()
    run = coded.map(held, gate, client=client, rtol=rtol, enough=N)
    exact = coded.map(held, gate, client=client, rtol=0)
    with pytest.warns(RuntimeWarning, match="fewer than enough=12, because workers do not"):
        run.result(timeout=DEADLINE)
    report = check(run)
    assert report.stopped == "enough results"
    assert report.troubles[victim] == "does not respond"
    # No answer beats one that is not what was asked for.
    assert not exact.done()
    exact.cancel()
    del run, exact, coded


def test_a_worker_hangs_while_it_makes_a_source_block(client):
    array = da.from_array(X, chunks=(6, 3)).map_blocks(stops, dtype=float, meta=X[:0])
    run = encoded(array).map(wide, client=client, deadline=4, rtol=np.inf, enough=N)
    report = check(run)
    assert report.seconds < 9
    assert 0 in report.missing
    del run


def test_the_report_says_who_hangs_though_it_never_had_a_chunk(client, gate, hang):
    found = pids(client)
    victim = next(iter(found))
    hang(found[victim])
    gate.touch()
    run = encoded().map(held, gate, client=client, rtol=np.inf, deadline=DEADLINE)
    check(run)
    wait_for_trouble(run, victim, "does not respond")
    assert f"workers: {victim} does not respond" in str(run.report)
