"""Bytes of the graphs that a run sends to the scheduler: at once, and for one backup.

Run with ``python -m benchmarks.graphs``. One block hangs behind a gate until its backup is in; the
sizes are of the messages that the client sends.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any
from unittest import mock

import dask
import dask.array as da
import numpy as np
from distributed import Client, Event
from distributed.utils import nbytes

import dask_bacc


def held(block: np.ndarray, marked: float) -> np.ndarray:
    """Column sums; the marked block waits at the gate."""
    if block.flat[0] == marked:
        Event("gate").wait()
    return block.sum(axis=0, keepdims=True)


def sizes(client: Client, run: Callable[[], Any]) -> list[int]:
    """Bytes of every graph that is sent while the function runs."""
    found = []
    send = client._send_to_scheduler

    def recorded(message: dict[str, Any]) -> None:
        if message["op"] == "update-graph":
            expression = message["expr_ser"]
            annotations = message["annotations"].data
            frames = [expression.header, *expression.frames, pickled(annotations)]
            found.append(sum(map(nbytes, frames)))
        send(message)

    with mock.patch.object(client, "_send_to_scheduler", recorded):
        run()
    return found


def pickled(value: Any) -> bytes:
    """As a message has it."""
    from distributed.protocol.pickle import dumps

    return dumps(value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--k", type=int, default=64)
    parser.add_argument("--n", type=int, default=80)
    options = parser.parse_args()
    k, n = options.k, options.n
    x = np.arange(k * 1000.0).reshape(k * 10, 100)
    sources = {
        "made on the cluster": lambda: da.arange(k * 1000, dtype=float, chunks=1000).reshape(
            k * 10, 100
        ),
        "dask array of a NumPy array": lambda: da.from_array(x, chunks=(10, 100)),
        "persisted": lambda: da.from_array(x, chunks=(10, 100)).persist(),
        "NumPy array": lambda: x,
    }
    print(f"k={k}, n={n}, data of {x.nbytes / 1e3:.0f} kB; kB sent")
    print("source                          eager  backup: at once  one backup")
    with (
        Client(
            processes=False, n_workers=8, threads_per_worker=1, dashboard_address=None
        ) as client,
        dask.config.set({"bacc.backup.minimum": 0.5}),
    ):
        gate = Event("gate", client=client)
        for name, source in sources.items():
            array = source()
            coded = dask_bacc.encode(array, n=n, k=k)
            eager = sizes(client, lambda c=coded: c.map(held, -1.0, copies=False).result())
            sent = sizes(
                client,
                lambda c=coded: c.map(
                    held, 0.0, launch="backup", rtol=np.inf, copies=False
                ).result(),
            )
            gate.set()
            gate.clear()
            first, backup = sent[0] / 1e3, [size / 1e3 for size in sent[1:]]
            print(f"{name:30s}  {eager}  {first:15.1f}  {backup}", flush=True)


if __name__ == "__main__":
    main()
