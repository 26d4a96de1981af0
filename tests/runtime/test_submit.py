"""What a run sends to the scheduler: with which priority, and no more than is needed."""

from __future__ import annotations

import itertools
import operator
import time
from collections import Counter

import dask
import dask.array as da
import numpy as np
import pytest
from distributed import Event
from distributed.utils import nbytes

import dask_bacc
from tests.shared import X, held, legacy, own_block, tasks_of_runs, wait_until


def waiting(block, gate):
    Event(gate).wait()
    return block


def scaled(block, gate, factor, slow=()):
    """Linear, so that it decodes exactly; some blocks wait at the gate."""
    if own_block(block) in slow:
        Event(gate).wait()
    return np.asarray(factor).flat[-1] * block


def priorities(client):
    """How much each task gives way, by key."""
    return client.run_on_scheduler(
        lambda dask_scheduler: {key: ts.priority[0] for key, ts in dask_scheduler.tasks.items()}
    )


@pytest.mark.parametrize("slices", [0, 1, 3])
def test_what_serves_only_parity_gives_way_unless_it_takes_no_time(
    client, gate, configure, slices
):
    configure({"bacc.encode.slices": slices})
    array = da.from_array(X, chunks=(3, -1)).map_blocks(waiting, gate, dtype=float, meta=X[:0])
    run = dask_bacc.encode(array, n=12).map(np.negative, enough=12)
    wait_until(lambda: any(str(key[0]).startswith("bacc-") for key in priorities(client)))
    found = priorities(client)
    views = ("rechunk-split", *(["coded"] if slices == 1 else []))
    ahead = {key for key in found if str(key[0]).startswith(views)}
    late = {
        key
        for key in found.keys() - ahead
        if str(key[0]).startswith(("gathered", "coded"))
        or (str(key[0]).startswith("bacc-") and key[1] >= 8)
    }
    assert {key for key, priority in found.items() if priority == 1} == late
    assert {key for key, priority in found.items() if priority == -1} == ahead
    # Four parity chunks, the function of each, and what makes many at once.
    assert len(late) == {0: 4 + 4, 1: 4 + 1, 3: 4 + 4 + 3}[slices]
    assert len(ahead) == {0: 0, 1: 4, 3: 3 * (8 + 4)}[slices]
    assert len(found) == len(late) + len(ahead) + 8 + 8
    Event(gate, client=client).set()
    np.testing.assert_array_equal(run.result(), -X)


def test_parity_waits_where_every_thread_has_many_blocks(client, gate, other_gate):
    """Four threads would come to it last, if at all; with one block late it is needed."""
    blocks = np.arange(256.0).reshape(128, 2)
    coded = dask_bacc.encode(blocks, k=128, n=160)
    options = {"rtol": np.inf, "enough": 128}
    run = coded.map(doubled, other_gate, late=range(128), **options)
    held_back = [chunk for chunk, r in enumerate(run.report.chunks) if r.state == "spare"]
    assert held_back == np.flatnonzero(coded.code.own_blocks < 0).tolist()
    Event(other_gate).set()
    np.testing.assert_allclose(run.result(timeout=30), 2 * blocks, rtol=1e-6)
    run = coded.map(doubled, gate, late=[3], **options)
    np.testing.assert_allclose(run.result(timeout=30), 2 * blocks, rtol=1e-6)
    assert 3 in run.report.missing


def doubled(block, gate, late):
    """Linear; some blocks wait at the gate."""
    if block[0, 0] / 2 in late:
        Event(gate).wait()
    return 2 * block


def test_the_users_priority_is_kept(client, gate):
    with dask.annotate(priority=7):
        run = dask_bacc.encode(X, k=8, n=12).map(held, gate, range(8), enough=12)
    wait_until(lambda: tasks_of_runs(client))
    found = {priority for key, priority in priorities(client).items() if "bacc-held" in key[0]}
    assert found == {-7, -6}
    run.cancel()


#: Two, and what else a user may say it with.
TWO = {
    "legacy": lambda client: legacy(3.0),
    "delayed": lambda client: dask.delayed(operator.add)(1.0, 1.0),
    "array": lambda client: da.full(3, 2.0),
    "future": lambda client: client.submit(operator.mul, 1.0, 2.0),
    "large": lambda client: np.full(100_000, 2.0),
    "nested": lambda client: [1.0, dask.delayed(2.0)],
}


@pytest.mark.parametrize("launch", ["eager", "backup"])
@pytest.mark.parametrize("kind", TWO)
def test_arguments_of_every_kind(client, gate, configure, launch, kind):
    """Backups come when all that they share with other chunks has been on the cluster before."""
    configure({"bacc.encode.slices": 2})
    coded = dask_bacc.encode(da.from_array(X, chunks=(3, -1)), n=12)
    slow = {2} if launch == "backup" else set()
    with dask.config.set({"bacc.backup.minimum": 0.5}):
        run = coded.map(scaled, gate, TWO[kind](client), slow=slow, launch=launch, rtol=1e-6)
    np.testing.assert_allclose(run.result(timeout=60), 2 * X, rtol=1e-6)
    assert slow <= set(run.report.missing)


def test_a_backup_brings_nothing_that_is_there(client, gate):
    """Neither the data, nor large arguments, nor the tasks of other chunks are sent again."""
    array = np.repeat(X, 10_000, axis=1)
    marked = array[6, 0]

    def work(block, weights):
        if block[0, 0] == marked:
            Event(gate).wait()
        return block @ weights

    sent = []
    send = client._send_to_scheduler

    def recorded(message):
        if message["op"] == "update-graph":
            sent.append(sum(map(nbytes, message["expr_ser"].frames)))
        send(message)

    coded = dask_bacc.encode(da.from_array(array, chunks=(3, -1)), n=12)
    weights = np.linspace(0, 1, 40_000).reshape(20_000, 2)
    with pytest.MonkeyPatch.context() as patch, dask.config.set({"bacc.backup.minimum": 2}):
        patch.setattr(client, "_send_to_scheduler", recorded)
        run = coded.map(work, weights, launch="backup", rtol=1e-6)
        answer = run.result(timeout=60)
    np.testing.assert_allclose(answer, array @ weights, rtol=1e-6)
    first, *backups = sent
    assert first > array.nbytes + weights.nbytes
    assert backups
    assert max(backups) < 20_000


def takes_a_moment(block):
    time.sleep(0.1)
    return np.tanh(block)


@pytest.mark.parametrize("source", ["numpy", "lazy", "persisted"])
def test_neighbours_are_on_different_workers_and_none_has_more_than_its_share(client, source):
    """So that a lost worker costs few chunks, and none next to each other."""
    array = np.random.default_rng(0).normal(size=(64, 3))
    if source != "numpy":
        array = da.from_array(array, chunks=(4, 3)).map_blocks(np.positive)
    if source == "persisted":
        # On each worker in turn, as blocks that take a moment come to lie.
        homes = itertools.cycle(client.scheduler_info()["workers"])
        blocks = [
            client.scatter(block, workers=[home])
            for block, home in zip(np.split(array.compute(), 16), homes, strict=False)
        ]
        array = da.concatenate([da.from_delayed(block, (4, 3), dtype=float) for block in blocks])
    run = dask_bacc.encode(array, k=16, n=16).map(takes_a_moment)
    run.result(timeout=60)
    workers = [chunk.worker for chunk in run.report.chunks]
    together = sum(worker == other for worker, other in itertools.pairwise(workers))
    # A share is four of sixteen; by chance three neighbours would be together.
    assert max(Counter(workers).values()) <= 6
    assert together <= 3
