"""What a chunk's events cost the event loop of the client, beside a run's state without them.

Usage: python -m benchmarks.events
"""

from __future__ import annotations

import time

from dask_bacc.records.events import EventLog, Listener, RunEvent
from dask_bacc.records.state import RunState

CHUNKS, ROUNDS = 2560, 15


class Nothing(EventLog):
    """Keeps no events."""

    def add(self, event: RunEvent) -> None:
        """Forget it."""


def seconds(log: EventLog) -> float:
    """Of a run whose chunks start, are done and return: three events each."""
    state = RunState(CHUNKS, CHUNKS, "none")
    state.events = log
    start = time.perf_counter()
    for chunk in range(CHUNKS):
        state.start(chunk, "tcp://10.0.0.1:4000")
        state.done(chunk, "tcp://10.0.0.1:4000")
        state.take_result(chunk)
    return time.perf_counter() - start


def main() -> None:
    heard = EventLog("run")
    heard.listen(Listener(id))
    logs = {"dropped": Nothing("run"), "kept": EventLog("run"), "kept, one callback": heard}
    best = dict.fromkeys(logs, float("inf"))
    for _ in range(ROUNDS):
        for name, log in logs.items():
            best[name] = min(best[name], seconds(log))
    for name, total in best.items():
        print(
            f"{name:20} {total / CHUNKS / 3 * 1e6:6.2f} us per event, {total * 1e3:6.1f} ms a run"
        )


if __name__ == "__main__":
    main()
