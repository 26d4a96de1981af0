"""Carries out chaos draws on real processes, and checks what must hold whatever goes wrong."""

from __future__ import annotations

import contextlib
import gc
import signal
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np

import dask_bacc
from tests.faults.awake import AwakeClock
from tests.faults.draws import Draw, Fault, draw
from tests.faults.leaks import Baseline, keys_on_scheduler
from tests.faults.processes import Cluster, alive, pids, send, tasks_on_workers, until
from tests.faults.verdict import (
    ROUNDING,
    answer_failures,
    error_failures,
    relative_error,
    report_failures,
    settled,
)
from tests.faults.workload import (
    FEATURES,
    OUTPUTS,
    ROWS,
    Array,
    blocks_of,
    chaotic,
    compute,
    weights_of,
)

#: Seconds after its deadline by which a run must have ended.
GRACE = 1.0
#: Seconds in which a stuck worker must be replaced, and in which all faults are made good.
REPLACED, HEALED = 20.0, 20.0
#: Seconds after which Dask has given up to reach a worker that has died, and some more.
UNREACHABLE = 40.0


@dataclass
class Outcome:
    """What came of a draw."""

    draw: Draw
    #: ``"answer"``, or the type of the exception, for every run
    ended: list[str] = field(default_factory=list)
    #: true error over the estimated one, for every answer that was estimated
    ratios: list[float] = field(default_factory=list)
    #: seconds after its deadline that the last run ended, while the machine was awake; negative
    #: for before
    lateness: float = -np.inf
    #: what did not hold
    failures: list[str] = field(default_factory=list)
    #: whether the cluster can be used again
    healed: bool = True
    seconds: float = 0.0
    reports: list[Any] = field(default_factory=list)


class Arena:
    """A cluster of one shape that outlives its draws, replaced when it cannot be healed.

    A cold one is for a single draw, and nothing has run on it.
    """

    def __init__(self, shape: tuple[int, int], clock: AwakeClock, *, cold: bool = False) -> None:
        self.shape, self.clock, self.cold = shape, clock, cold
        self.cluster = Cluster(*shape)
        self._stack = contextlib.ExitStack()
        try:
            self.client = self._stack.enter_context(self.cluster.client())
            if not cold:
                self._warm_up()
        except BaseException:
            self.close()
            raise
        self.baseline = Baseline.of(self.client)

    def _warm_up(self) -> None:
        """Start what stays for good, such as threads of executors."""
        coded = dask_bacc.encode(np.arange(12.0), k=4, n=6)
        coded.map(np.tanh, client=self.client).result(timeout=30)

    def close(self) -> None:
        """End the client and all processes."""
        send(self.cluster.scheduler.pid, signal.SIGCONT)
        try:
            self._stack.close()
        finally:
            self.cluster.close()


def outcome_of(run: dask_bacc.CodedRun, timeout: float) -> tuple[Any, BaseException | None]:
    """The answer, or what was raised."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of estimates above rtol
        try:
            return run.result(timeout=timeout), None
        except (Exception, CancelledError) as raised:
            return None, raised


def carry_out(draw: Draw, arena: Arena, say: Callable[[str], None] = lambda _: None) -> Outcome:
    """Carry out a draw on an arena of its shape.

    Parameters
    ----------
    draw : Draw
    arena : Arena
    say : callable
        Told what happens.
    """
    outcome = Outcome(draw)
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="chaos-") as directory:
        gate = Path(directory) / "gate"
        _Scene(draw, arena, outcome, gate, say).play()
    outcome.seconds = time.monotonic() - begin
    return outcome


class _Scene:
    """One draw being carried out."""

    def __init__(
        self, draw: Draw, arena: Arena, outcome: Outcome, gate: Path, say: Callable[[str], None]
    ) -> None:
        self.draw, self.arena, self.outcome, self.gate = draw, arena, outcome, gate
        self._say = say
        self.client = arena.client
        self.pids = pids(self.client)
        self.blocks = blocks_of(draw)
        layers = weights_of(draw)
        self.truth = compute(self.blocks, draw.function, *layers)
        behave = {
            chunk: fault.kind
            for fault in draw.faults
            for chunk in fault.chunks
            if fault.kind != "slow"
        }
        seconds = np.array(draw.seconds)
        for fault in draw.faults:
            if fault.kind == "slow":
                seconds[list(fault.chunks)] += fault.seconds
        self.arguments = (draw.function, layers, tuple(seconds.tolist()), behave, str(gate))
        self.behave = behave
        self.runs: list[dask_bacc.CodedRun] = []
        self.stopped: set[int] = set()
        self.wounded: set[int] = set()
        self.begin = time.monotonic()

    def say(self, text: str) -> None:
        self._say(f"{time.monotonic() - self.begin:7.3f}  {text}")

    def check(self, holds: object, failure: str) -> None:
        if not holds:
            self.say(f"FAILURE: {failure}")
            self.outcome.failures.append(failure)

    @contextlib.contextmanager
    def checking(self, what: str) -> Iterator[None]:
        try:
            yield
        except TimeoutError as error:
            self.check(False, f"{what}: {error}")

    def play(self) -> None:
        draw, client = self.draw, self.client
        data = self.blocks.reshape(draw.k * ROWS, FEATURES)
        source: Any = data
        if draw.data != "numpy":
            source = da.from_array(data, chunks=(ROWS, FEATURES)).map_blocks(np.positive)
        if draw.data == "persisted":
            source = client.persist(source)
        coded = dask_bacc.encode(source, k=draw.k, n=draw.n)
        if draw.data == "chunks":
            coded = client.persist(coded)
        until(
            lambda: all(state.status == "finished" for state in client.futures.values()),
            30,
            "the data was not made",
        )
        # What it was made of is kept along with it.
        kept = keys_on_scheduler(client) - self.arena.baseline.keys
        self.holders = self._holders(kept)
        self.begin = time.monotonic()
        over = threading.Event()
        before = sorted((f for f in draw.faults if f.at < 0), key=lambda f: f.at)
        for fault in before:
            self.strike(fault)
        striker = threading.Thread(target=self._strike_all, args=(over,), name="striker")
        striker.start()
        self.coded = coded
        for _ in range(draw.runs):
            self.run()
        over.set()
        striker.join()
        self.resume_scheduler()
        with self.checking("before anything was made good"):
            self.arena.baseline.check_keys(client, kept)
        with self.checking("cancel='restart'"):
            self.check_restarted(bool(kept))
        del self.coded, coded, source
        gc.collect()
        self.heal()

    def _holders(self, keys: set[Any]) -> list[str]:
        """Workers that hold source blocks or chunks."""
        if not keys:
            return []
        who: dict[Any, list[str]] = self.client.who_has()
        return sorted({worker for workers in who.values() for worker in workers})

    # Faults

    def _strike_all(self, over: threading.Event) -> None:
        ends = [
            (f.at + f.seconds, f, True) for f in self.draw.faults if f.kind.startswith("pause")
        ]
        begins = [(f.at, f, False) for f in self.draw.faults if f.at >= 0]
        for at, fault, ends_now in sorted(begins + ends, key=lambda event: event[0]):
            if over.wait(max(0.0, self.begin + at - time.monotonic())):
                return
            if ends_now:
                self.relent(fault)
            else:
                self.strike(fault)

    def _victim(self, fault: Fault) -> int:
        if fault.kind == "stop source" and self.holders:
            address = self.holders[fault.worker % len(self.holders)]
            return self.pids[address]
        return list(self.pids.values())[fault.worker % len(self.pids)]

    def strike(self, fault: Fault) -> None:
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
                send(self.arena.cluster.scheduler.pid, signal.SIGSTOP)

    def relent(self, fault: Fault) -> None:
        if fault.kind == "pause scheduler":
            self.resume_scheduler()
        else:
            self.say(f"resume {self._victim(fault)}")
            send(self._victim(fault), signal.SIGCONT)
            self.stopped.discard(self._victim(fault))

    def resume_scheduler(self) -> None:
        send(self.arena.cluster.scheduler.pid, signal.SIGCONT)

    # Runs

    def run(self) -> None:
        # No local name for the data: what a run raised holds the frames of its callers.
        draw = self.draw
        clock = self.arena.clock
        end = clock.time() + draw.deadline
        try:
            run = self.coded.map(
                chaotic,
                *self.arguments,
                enough=draw.enough,
                rtol=draw.rtol,
                deadline=draw.deadline,
                launch=draw.launch,
                cancel=draw.cancel,
                client=self.client,
            )
        except Exception as error:
            self.outcome.ended.append(type(error).__name__)
            self.check(False, f"map raised {type(error).__name__}: {error}")
            return
        for fault in draw.faults:
            if fault.kind in ("cancel", "drop"):
                time.sleep(min(fault.at, draw.deadline))
                if fault.kind == "drop":
                    self.say("drop the run")
                    self.outcome.ended.append("dropped")
                    return
                self.say("cancel the run")
                run.cancel()
                end = clock.time()
        self.runs.append(run)
        answer, error = outcome_of(run, draw.deadline + 30)
        lateness = clock.time() - end
        self.outcome.lateness = max(self.outcome.lateness, lateness)
        if isinstance(error, CancelledError):
            # The caller hears of it at once, and the run a moment later.
            with self.checking("a cancelled run"):
                until(lambda: settled(run.report), 30, "its report says that it still waits")
        report = run.report
        self.outcome.reports.append(report)
        self.outcome.ended.append("answer" if error is None else type(error).__name__)
        self.say(f"ended {lateness:+.3f} s after the deadline: {error!r}\n{report}")
        self.check(lateness <= GRACE, f"ended {lateness:.2f} s after its deadline")
        failures = [*report_failures(report, self.behave)]
        if error is None:
            failures += self.check_answer(answer, report, self.coded.code)
        else:
            failures += error_failures(draw, report, error)
        for failure in failures:
            self.check(False, failure)

    def check_answer(
        self, answer: Array, report: dask_bacc.RunReport, code: dask_bacc.coding.Code
    ) -> Iterator[str]:
        draw = self.draw
        if report.error is None or answer.shape != (draw.k * ROWS, OUTPUTS):
            yield f"an answer of shape {answer.shape} and error {report.error}"
            return
        good = list(report.returned)
        mixed = np.tensordot(code.generator[good], self.blocks, axes=1)
        results = compute(mixed, draw.function, *self.arguments[1])
        actual = relative_error(answer.reshape(self.truth.shape), self.truth, results)
        if report.error > 0:
            self.outcome.ratios.append(actual / max(report.error, ROUNDING))
        yield from answer_failures(draw, report, good, actual)

    # What is left

    def check_restarted(self, holds: bool) -> None:
        """With cancel="restart", workers stuck in a chunk are replaced if they hold nothing."""
        if self.draw.cancel != "restart" or holds:
            return
        stuck = {
            record.worker
            for report in self.outcome.reports
            for chunk, record in enumerate(report.chunks)
            if record.state == "cancelled" and self.behave.get(chunk) == "deaf" and record.worker
        }
        for address in stuck:
            if self.pids.get(address) not in self.stopped:
                until(
                    lambda address=address: address not in pids(self.client),
                    REPLACED,
                    f"{address} is still stuck in a cancelled chunk",
                )
                self.say(f"{address} was replaced")

    def heal(self) -> None:
        """Make all faults good, and see that nothing is left."""
        self.resume_scheduler()
        for pid in self.stopped:
            send(pid, signal.SIGCONT)
        client, (workers, _) = self.client, self.draw.shape
        try:
            until(
                lambda: (
                    not any(alive(pid) for pid in self.wounded) and len(pids(client)) == workers
                ),
                HEALED,
                "killed workers were not replaced",
            )
        except TimeoutError as error:
            self.say(str(error))
            self.outcome.healed = False
            return
        with self.checking("after making good"):
            self.arena.baseline.check_keys(client)
        # The gate opens for deaf chunks only: whoever asks must have stopped by himself.
        if "deaf" in self.draw.kinds:
            self.gate.touch()
        with self.checking("after making good"):
            # For 30 s a worker tries to reach one that has died and whose data it wanted.
            died = self.wounded or self.draw.cancel == "restart"
            limit = UNREACHABLE if died else 30
            until(
                lambda: not tasks_on_workers(client),
                limit,
                lambda: f"tasks are left on workers: {tasks_on_workers(client)}",
            )
            # What starts with the first run and stays for good is no leak.
            if not self.arena.cold:
                self.arena.baseline.check_process(client)
            until(
                lambda: not any(run.report.still_running for run in self.runs),
                30,
                "runs say that chunks still run",
            )
            # One of them may be in the middle of its restart.
            until(lambda: len(pids(client)) == workers, HEALED, "workers are missing")
        self.gate.touch()
        self.outcome.healed = not self.outcome.failures


def carry_out_all(
    seeds: Iterable[int], say: Callable[[str], None] = lambda _: None
) -> Iterator[Outcome]:
    """Carry out the draws of some seeds, those of one shape after another on one cluster.

    Cold ones have a cluster each.
    """
    draws = sorted(map(draw, seeds), key=lambda drawn: (drawn.shape, drawn.cold, drawn.seed))
    with AwakeClock() as clock:
        for shape, alike in groupby(draws, key=lambda drawn: drawn.shape):
            yield from _carry_out_alike(shape, alike, clock, say)


def _carry_out_alike(
    shape: tuple[int, int], draws: Iterable[Draw], clock: AwakeClock, say: Callable[[str], None]
) -> Iterator[Outcome]:
    arena: Arena | None = None
    try:
        for drawn in draws:
            if drawn.cold and arena is not None:
                arena.close()
            if drawn.cold or arena is None:
                arena = Arena(shape, clock, cold=drawn.cold)
            outcome = carry_out(drawn, arena, say)
            yield outcome
            if drawn.cold or not outcome.healed:
                arena.close()
                arena = None
    finally:
        if arena is not None:
            arena.close()
