"""What many tests share: arrays, functions that run on workers, waits and comparisons.

Workers get functions by their names and import this module for them, so nothing here needs pytest.
"""

from __future__ import annotations

import contextlib
import operator
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import numpy as np
from dask.delayed import Delayed
from distributed import Client, Event, LocalCluster, get_worker

from dask_bacc.coding import Code
from dask_bacc.results.joining import Cut, Joining
from dask_bacc.results.result import FlatResult, ResultSpec

#: Varies smoothly from block to block, so that Berrut's decoder does well.
X = 2 + np.sin(np.arange(48).reshape(24, 2) / 20)
BLOCKS = np.split(X, 8)
#: Of the rows of X; what they make of a block is larger than what comes here with a message.
WEIGHTS = np.random.default_rng(0).normal(size=(2, 3000)) / 2

# Functions of blocks, and what they need to know of where they are.


def own_block(block: Any) -> int | None:
    """Which of the 8 blocks of X this chunk is, or None for a parity chunk."""
    return next((j for j, own in enumerate(BLOCKS) if np.array_equal(own, block)), None)


def chunk_here() -> int:
    """Number of the chunk that the calling function was given."""
    number: int = get_worker().get_current_task()[1]
    return number


def held(block: Any, gate: str, blocks: Collection[int]) -> Any:
    """The square; chunks that are one of the blocks wait at the gate."""
    if own_block(block) in blocks:
        Event(gate).wait()
    return block**2


def fails(block: Any, blocks: Collection[int]) -> Any:
    """Twice the block, unless it is one of these."""
    if own_block(block) in blocks:
        raise ZeroDivisionError(f"block {own_block(block)}")
    return 2 * block


def wide(block: Any) -> Any:
    """Four hundred smooth functions of a block, so that one draw tells how good an estimate is."""
    weights = np.random.default_rng(0).normal(size=(block.size, 400))
    return np.tanh(block.reshape(1, -1) @ weights)


def wide_but_held(block: Any, gate: str, blocks: Collection[int]) -> Any:
    """The same; chunks that are one of the blocks wait at the gate."""
    if own_block(block) in blocks:
        Event(gate).wait()
    return wide(block)


def large(block: Any) -> Any:
    """Three thousand smooth functions of every row."""
    return np.tanh(block @ WEIGHTS)


def large_but_held(block: Any, gate: str, blocks: Collection[int]) -> Any:
    """The same; chunks that are one of the blocks wait at the gate."""
    if own_block(block) in blocks:
        Event(gate).wait()
    return large(block)


def network(block: Any, width: int = 30) -> Any:
    """A layer of a network with every row an input of its own."""
    weights = np.random.default_rng(0).normal(size=(block.shape[-1], width))
    return np.tanh(block @ weights / np.sqrt(block.shape[-1]) + 0.3)


def legacy(number: float) -> Delayed:
    """A collection whose graph has tuples for tasks and strings for aliases; one less."""
    token = uuid.uuid4().hex
    graph = {
        f"number-{token}": (operator.add, number, 0),
        f"alias-{token}": f"number-{token}",
        f"list-{token}": (list, [f"alias-{token}", (operator.neg, f"alias-{token}")]),
        f"sum-{token}": (operator.sub, (operator.getitem, f"list-{token}", 0), 1),
    }
    return Delayed(f"sum-{token}", graph)


# What is expected.


def by_hand(code: Code, array: Any, axis: int = 0) -> Any:
    """Chunks from the generator, one product at a time."""
    blocks = np.split(array, code.k, axis=axis)
    return np.stack(
        [sum(g * block for g, block in zip(row, blocks, strict=True)) for row in code.generator]
    )


def relative_error(answer: Any, truth: Any) -> float:
    """Of all numbers together."""
    return float(np.linalg.norm(answer - truth) / np.linalg.norm(truth))


# Results without a cluster.


def along(combine: str, axis: int = 0) -> Joining:
    """How results of blocks that were cut along an axis are combined."""
    return Joining(combine, (Cut((), axis),))


def specs(results: Mapping[int, FlatResult]) -> dict[int, ResultSpec]:
    """What is known of results without having them."""
    return {chunk: result.spec() for chunk, result in results.items()}


# Clusters, gates and waits.

#: Variables of programs that start clusters: workers do not all import what one of them has.
QUICK = {"DASK_DISTRIBUTED__WORKER__MULTIPROCESSING_METHOD": "forkserver"}


def local_cluster(workers: int, threads: int = 1, **options: Any) -> LocalCluster:
    """Workers on this machine, by default processes, without a dashboard."""
    return LocalCluster(
        n_workers=workers,
        threads_per_worker=threads,
        dashboard_address="127.0.0.1:0",
        scheduler_kwargs={"dashboard": False},
        **options,
    )


@contextlib.contextmanager
def closed_gate(client: Client) -> Iterator[str]:
    """Name of an event for which tasks can wait; set at the end, so that none stays behind."""
    event = Event(f"gate-{uuid.uuid4()}", client=client)
    try:
        yield event.name
    finally:
        event.set()


def wait_until(condition: Callable[[], object], timeout: float = 120.0) -> None:
    """Poll until the condition holds; a test that waits in vain fails here."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "condition did not come true"
        time.sleep(0.01)


def tasks_of_runs(client: Client) -> list[Any]:
    """Keys of runs that the scheduler knows."""
    keys = client.run_on_scheduler(lambda dask_scheduler: list(dask_scheduler.tasks))
    return [key for key in keys if str(key[0]).startswith(("bacc-", "coded-"))]


def assert_nothing_is_left(client: Client) -> None:
    """Wait until runs have left neither keys on the scheduler nor futures here."""
    wait_until(lambda: not tasks_of_runs(client))
    wait_until(lambda: not client.futures and not client.refcount)
