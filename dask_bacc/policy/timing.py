"""How long a run waits for what."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Timing:
    """How long a run waits for what, in seconds."""

    #: for the heartbeat of a worker, before what it has to do is launched once more elsewhere;
    #: and for any chunk to start or end, before those that wait for a thread go to idle workers
    unresponsive_after: float = 5.0
    #: for any chunk to start or end, before the scheduler is asked which workers respond
    probe_every: float = 2.0
    #: for what a worker says of a chunk that has ended, before its result is fetched as it is
    fetch_after: float = 2.0
    #: for what a worker says of a chunk that has failed or was cancelled
    messages_within: float = 0.1
    #: for which a worker that was slow is taken for slow
    slow_for: float = 60.0

    def __post_init__(self) -> None:
        for field in fields(self):
            if not (value := getattr(self, field.name)) > 0:
                name = field.name.replace("_", "-")
                raise ValueError(f"bacc.timing.{name} must be above 0 seconds, got {value}")
