"""What a run must not leave behind: keys, futures, threads, connections and file descriptors."""

from __future__ import annotations

import os
import sys
import threading
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from distributed import Client

from benchmarks.processes.cluster import until


def keys_on_scheduler(client: Client) -> set[Any]:
    """Keys of all tasks."""
    return set(client.run_on_scheduler(lambda dask_scheduler: list(dask_scheduler.tasks)))


def busy_threads() -> Counter[str]:
    """Threads by name, those aside that wait in an executor for something to do."""
    frames = sys._current_frames()
    names: Counter[str] = Counter()
    for thread in threading.enumerate():
        frame = frames.get(thread.ident or 0)
        # An idle one waits in the worker loop of its executor, in nothing that was submitted.
        idle = frame is not None and frame.f_code.co_name in ("_worker", "get", "wait")
        while frame is not None and idle and frame.f_code.co_name != "_worker":
            idle = frame.f_code.co_name in ("get", "wait")
            frame = frame.f_back
        if not (idle and frame is not None and "concurrent" in frame.f_code.co_filename):
            names[thread.name] += 1
    return names


def descriptors(client: Client) -> Counter[str]:
    """Open files by kind, those aside that are pooled connections of the client."""
    kinds: Counter[str] = Counter()
    for name in os.listdir("/proc/self/fd"):
        try:
            kinds[os.readlink(f"/proc/self/fd/{name}").split(":")[0]] += 1
        except FileNotFoundError:
            continue
    kinds["socket"] -= client.rpc.open
    return kinds


@dataclass(frozen=True)
class Baseline:
    """What there was before."""

    keys: set[Any]
    futures: set[Any]
    threads: Counter[str]
    descriptors: Counter[str]

    @classmethod
    def of(cls, client: Client) -> Baseline:
        """What there is now."""
        return cls(
            keys_on_scheduler(client), set(client.futures), busy_threads(), descriptors(client)
        )

    def check_keys(self, client: Client, kept: Collection[Any] = (), timeout: float = 30) -> None:
        """Wait until no key and no future is there but those from before and those `kept`.

        Raises
        ------
        TimeoutError
            If some stay.
        """
        before = {*self.keys, *self.futures, *kept}

        def left() -> list[str]:
            return [
                f"{len(found)} on the {where}, {min(map(str, found))} among them"
                for where, keys in (
                    ("client", set(client.futures)),
                    ("scheduler", keys_on_scheduler(client)),
                )
                if (found := keys - before)
            ]

        try:
            until(lambda: not left(), timeout, "keys are left")
        except TimeoutError as error:
            raise TimeoutError(f"{error}: {'; '.join(left())}") from None

    def check_process(self, client: Client, timeout: float = 30) -> None:
        """Wait until this process has no thread, connection in use or descriptor more than before.

        Raises
        ------
        TimeoutError
            If some stay.
        """

        def left() -> str:
            threads = busy_threads() - self.threads
            files = descriptors(client) - self.descriptors
            return ", ".join(
                f"{count} {name}"
                for name, count in [
                    *threads.items(),
                    *files.items(),
                    ("connections in use", client.rpc.active),
                ]
                if count
            )

        try:
            until(lambda: not left(), timeout, "threads, descriptors or connections are left")
        except TimeoutError as error:
            raise TimeoutError(f"{error}: {left()}") from None
