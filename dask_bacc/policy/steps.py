"""What a run may do next."""

from __future__ import annotations

from dataclasses import dataclass

from dask_bacc.records.events import Stop


@dataclass(frozen=True)
class Wait:
    """Until something comes, or until this time."""

    until: float


@dataclass(frozen=True)
class Estimate:
    """Find out whether the results that are in are good enough."""


@dataclass(frozen=True)
class LaunchBackups:
    """Launch these chunks, in place of some that are late."""

    chunks: tuple[int, ...]
    late: tuple[int, ...]


@dataclass(frozen=True)
class LaunchCopies:
    """Launch these chunks once more on idle workers, those first that come first."""

    chunks: tuple[int, ...]
    #: chunks that will be of no use, and may give way
    useless: tuple[int, ...] = ()


@dataclass(frozen=True)
class Probe:
    """Ask which workers respond, and launch what is stuck once more."""


@dataclass(frozen=True)
class Finish:
    """Decode what is in."""

    reason: Stop


Step = Wait | Estimate | LaunchBackups | LaunchCopies | Probe | Finish
