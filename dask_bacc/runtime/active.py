"""The parts of a run that goes on."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from distributed import Client

from dask_bacc.coding import Code
from dask_bacc.engine.scheduler import cancel_pending
from dask_bacc.policy.options import RunOptions
from dask_bacc.policy.situation import Foresight, Rules, Situation
from dask_bacc.records.chunk import Attempted
from dask_bacc.records.state import RunState
from dask_bacc.results.encoded import Encoded
from dask_bacc.results.memory import Earlier
from dask_bacc.runtime.decide import Decider
from dask_bacc.runtime.inline import InlineResults
from dask_bacc.runtime.launcher import Launcher
from dask_bacc.runtime.monitor import Monitor
from dask_bacc.runtime.store import Store
from dask_bacc.worker.brought import ChunkResult


def nobody() -> None:
    """Wakes nobody."""


def nowhere(_: Attempted, __: ChunkResult) -> bool:
    """Takes no result."""
    return False


@dataclass(eq=False)
class ActiveRun:
    """The parts of a run that goes on; written on the client's event loop alone."""

    client: Client
    #: what is known of its workers
    monitor: Monitor
    code: Code
    options: RunOptions
    encoded: Encoded
    launcher: Launcher
    state: RunState
    store: Store
    decider: Decider
    inline: InlineResults
    situation: Situation
    #: whether parity chunks are held back until they are needed
    spares: bool
    #: whether only an exact answer will do
    exact: bool
    #: set, and replaced, when there is something new
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    #: whether the loop that collects results has taken its first step
    began: bool = False
    #: whether the arrays of results are wanted here, however large
    wanted_here: bool = False
    #: what earlier rounds have left, if it is one of several
    earlier: Earlier | None = None
    #: what error they let expect once some chunks are in
    foresight: Foresight | None = None
    #: wakes the loop that collects results
    wake: Callable[[], None] = nobody
    #: gives it a result that came with a message; whether it has taken it
    bring: Callable[[Attempted, ChunkResult], bool] = nowhere
    #: takes in what comes after the answer, with ``cancel="keep"``
    refining: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        """Of the run."""
        return self.launcher.name

    def rules(self, deadline: float | None) -> Rules:
        """What the run goes by until a deadline, in seconds since it was submitted."""
        options = self.options
        return Rules(
            code=self.code,
            decoder=self.decider.decoder,
            enough=options.enough,
            estimates=self.decider.estimates,
            rtol=options.rtol,
            deadline=math.inf if deadline is None else deadline,
            patience=options.patience,
            parity=self.spares,
            copies=options.copies,
            exact=self.exact,
            timing=options.timing,
            slow=self.state.slow.keys(),
        )

    async def drop(self, attempts: Collection[Attempted]) -> None:
        """Cancel attempts at chunks that have returned or were given up."""
        launcher, state = self.launcher, self.state
        running = {a: state.still_running[a] for a in attempts if a in state.still_running}
        self.monitor.abandon(self.name, running)
        overtaken = [launcher.futures[a] for a in attempts if a in launcher.futures]
        launcher.drop(attempts)
        if self.client.status == "running":
            await cancel_pending(self.client, overtaken)

    def forget_results(self) -> None:
        """Let go of the results that are here, and of what was made of them."""
        self.store.clear()
        self.inline.clear()
        self.decider.restart()

    def notify(self) -> None:
        """Wake those who wait for a change."""
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()
