"""Where blocks run whose data lies on workers, if some of these are kept off."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dask.typing import Key
from distributed import Client

from dask_bacc.coding import Code
from dask_bacc.engine.whereabouts import holders_of
from dask_bacc.graphs.map import RunGraph
from dask_bacc.policy.placing import placed


def places(
    client: Client,
    graph: RunGraph,
    code: Code,
    chunks: Iterable[int],
    threads: Mapping[str, int],
) -> dict[int, str]:
    """A worker for each of these chunks that is a block; none if data is not on the cluster yet.

    The scheduler sends tasks only to workers that have some of what they need: what lies on those
    that are kept off would have to wait behind others, while workers with parity are idle.

    Parameters
    ----------
    client : Client
    graph : RunGraph
    code : Code
    chunks : iterable of int
    threads : mapping of str to int
        Of the workers that may run them.
    """
    blocks = [chunk for chunk in chunks if code.own_blocks[chunk] >= 0]
    if not (threads and blocks):
        return {}
    data = {block: graph.data_of(block) for block in blocks}
    # What all have in common, as arguments, says nothing of where one is to run.
    common = set[Key]().union(*data.values()).intersection(*data.values())
    own = {chunk: keys - common for chunk, keys in data.items()}
    if not all(own.values()):
        return {}
    by = holders_of(client, set[Key]().union(*own.values()))
    holders = {
        chunk: set[str].intersection(*(set(by.get(key, ())) for key in keys))
        for chunk, keys in own.items()
    }
    return placed(holders, threads) if all(holders.values()) else {}
