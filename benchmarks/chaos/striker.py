"""Carries out the faults that befall the processes of workers and of the scheduler."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from benchmarks.chaos.draws import Fault
from benchmarks.processes.cluster import send


class Striker:
    """Stops, resumes and kills processes when it is their time.

    Parameters
    ----------
    faults : sequence of Fault
        Of all kinds; those of chunks and of the client's own making are left alone.
    scheduler : int
        Its process.
    pids : mapping
        Processes of all workers, by address.
    say : callable
        Told what happens.
    """

    def __init__(
        self,
        faults: Sequence[Fault],
        scheduler: int,
        pids: Mapping[str, int],
        say: Callable[[str], None],
    ) -> None:
        self.faults, self.scheduler, self.pids, self.say = faults, scheduler, pids, say
        #: workers that hold source blocks or chunks
        self.holders: Sequence[str] = ()
        self.stopped: set[int] = set()
        self.wounded: set[int] = set()

    @contextlib.contextmanager
    def at_work(self, begin: float) -> Iterator[None]:
        """Strike until the block ends; first, and before it begins, whom it is to find struck."""
        for fault in sorted((f for f in self.faults if f.at < 0), key=lambda f: f.at):
            self._strike(fault)
        over = threading.Event()
        thread = threading.Thread(target=self._strike_all, args=(begin, over), name="striker")
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            self.resume_scheduler()

    def _strike_all(self, begin: float, over: threading.Event) -> None:
        ends = [(f.at + f.seconds, f, True) for f in self.faults if f.kind.startswith("pause")]
        begins = [(f.at, f, False) for f in self.faults if f.at >= 0]
        for at, fault, ends_now in sorted(begins + ends, key=lambda event: event[0]):
            if over.wait(max(0.0, begin + at - time.monotonic())):
                return
            if ends_now:
                self._relent(fault)
            else:
                self._strike(fault)

    def _victim(self, fault: Fault) -> int:
        if fault.kind == "stop source" and self.holders:
            return self.pids[self.holders[fault.worker % len(self.holders)]]
        return list(self.pids.values())[fault.worker % len(self.pids)]

    def _strike(self, fault: Fault) -> None:
        pid = self._victim(fault)
        match fault.kind:
            case "stop" | "stop source" | "pause":
                self.say(f"stop {pid}")
                self.stopped.add(pid)
                send(pid, signal.SIGSTOP)
            case "kill" | "terminate":
                self.say(f"{fault.kind} {pid}")
                self.wounded.add(pid)
                send(pid, signal.SIGKILL if fault.kind == "kill" else signal.SIGTERM)
            case "pause scheduler":
                self.say("stop the scheduler")
                send(self.scheduler, signal.SIGSTOP)

    def _relent(self, fault: Fault) -> None:
        if fault.kind == "pause scheduler":
            self.resume_scheduler()
        else:
            self.say(f"resume {self._victim(fault)}")
            send(self._victim(fault), signal.SIGCONT)
            self.stopped.discard(self._victim(fault))

    def resume_scheduler(self) -> None:
        """Whether it is stopped or not."""
        send(self.scheduler, signal.SIGCONT)

    def resume(self) -> None:
        """All that are stopped."""
        self.resume_scheduler()
        for pid in self.stopped:
            send(pid, signal.SIGCONT)
