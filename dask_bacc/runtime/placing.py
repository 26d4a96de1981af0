"""Where chunks run whose data lies on workers, if the scheduler would put some together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dask.typing import Key
from distributed import Client

from dask_bacc.coding import Code
from dask_bacc.engine.whereabouts import holders_of
from dask_bacc.graphs.map import RunGraph
from dask_bacc.policy.placing import near, placed, placed_beside

#: Blocks to a thread from which on it matters little where each of them runs.
MANY = 8


def places(
    client: Client,
    graph: RunGraph,
    code: Code,
    chunks: Iterable[int],
    threads: Mapping[str, int],
) -> dict[int, str]:
    """A worker for each block among these chunks, and for parity as far as threads are left.

    The scheduler sends tasks only to workers that have some of what they need: what lies on those
    that are kept off would have to wait behind others, and blocks behind parity. Nothing has a
    place if blocks' data is not on the cluster yet.

    Parameters
    ----------
    client : Client
    graph : RunGraph
    code : Code
    chunks : iterable of int
    threads : mapping of str to int
        Of the workers that may run them.
    """
    if not threads:
        return {}
    data = {chunk: graph.data_of(chunk) for chunk in chunks}
    # What all have in common, as arguments, says nothing of where one is to run.
    common = set[Key]().union(*data.values()).intersection(*data.values())
    own = {chunk: keys - common for chunk, keys in data.items()}
    blocks = [chunk for chunk in own if code.own_blocks[chunk] >= 0]
    if not 0 < len(blocks) <= MANY * sum(threads.values()):
        return {}
    if not all(own[block] for block in blocks):
        return {}
    by = holders_of(client, set[Key]().union(*own.values()))
    holders = {chunk: near([set(by.get(key, ())) for key in keys]) for chunk, keys in own.items()}
    of_blocks = {block: holders.pop(block) for block in blocks}
    if not all(of_blocks.values()):
        return {}
    where = placed(of_blocks, threads)
    return where | placed_beside(where, holders, threads)
