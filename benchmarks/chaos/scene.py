"""One chaos draw on real processes, and checks of what must hold whatever goes wrong."""

from __future__ import annotations

import contextlib
import gc
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np

import dask_bacc
from benchmarks.chaos.arena import Arena
from benchmarks.chaos.draws import Draw
from benchmarks.chaos.leaks import keys_on_scheduler
from benchmarks.chaos.outcome import Outcome
from benchmarks.chaos.striker import Striker
from benchmarks.chaos.verdict import (
    ROUNDING,
    answer_failures,
    error_failures,
    relative_error,
    report_failures,
    settled,
)
from benchmarks.chaos.workload import (
    FEATURES,
    OUTPUTS,
    ROWS,
    Array,
    blocks_of,
    chaotic,
    compute,
    weights_of,
)
from benchmarks.processes.cluster import alive, pids, tasks_on_workers, until

#: Seconds after its deadline by which a run must have ended.
GRACE = 1.0
#: Seconds in which a stuck worker must be replaced, and in which all faults are made good.
REPLACED, HEALED = 20.0, 20.0
#: Seconds after which Dask has given up to reach a worker that has died, and some more.
UNREACHABLE = 40.0


def _ending(run: dask_bacc.CodedRun, timeout: float) -> tuple[Any, BaseException | None]:
    """The answer, or what was raised."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of estimates above rtol
        try:
            return run.result(timeout=timeout), None
        except (Exception, CancelledError) as raised:
            return None, raised


class Scene:
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
        said = (tuple(seconds.tolist()), behave, str(gate), draw.first_only)
        self.arguments = (draw.function, layers, *said)
        self.behave = behave
        self.runs: list[dask_bacc.CodedRun] = []
        self.striker = Striker(draw.faults, arena.cluster.scheduler.pid, self.pids, self._say_when)
        self.begin = time.monotonic()

    def _say_when(self, text: str) -> None:
        self._say(f"{time.monotonic() - self.begin:7.3f}  {text}")

    def _check(self, holds: object, failure: str) -> None:
        if not holds:
            self._say_when(f"FAILURE: {failure}")
            self.outcome.failures.append(failure)

    @contextlib.contextmanager
    def _checking(self, what: str) -> Iterator[None]:
        try:
            yield
        except TimeoutError as error:
            self._check(False, f"{what}: {error}")

    def play(self) -> None:
        """Make the data, map it while faults happen, make them good and see what is left."""
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
        self.striker.holders = self._holders(kept)
        self.coded = coded
        self.begin = time.monotonic()
        with self.striker.at_work(self.begin):
            for _ in range(draw.runs):
                self._run()
        with self._checking("before anything was made good"):
            self.arena.baseline.check_keys(client, kept)
        with self._checking("cancel='restart'"):
            self._check_restarted(bool(kept))
        del self.coded, coded, source
        gc.collect()
        self._heal()

    def _holders(self, keys: set[Any]) -> list[str]:
        """Workers that hold source blocks or chunks."""
        if not keys:
            return []
        who: dict[Any, list[str]] = self.client.who_has()
        return sorted({worker for workers in who.values() for worker in workers})

    def _run(self) -> None:
        # No local name for the data: what a run raised holds the frames of its callers.
        draw = self.draw
        clock = self.arena.clock
        end = clock.time() + draw.deadline
        try:
            with dask.config.set({"bacc.backup.gate": draw.gate, "bacc.backup.work": draw.work}):
                run = self.coded.map(
                    chaotic,
                    *self.arguments,
                    enough=draw.enough,
                    rtol=draw.rtol,
                    deadline=draw.deadline,
                    launch=draw.launch,
                    cancel=draw.cancel,
                    copies=draw.copies,
                    client=self.client,
                )
        except Exception as error:
            self.outcome.ended.append(type(error).__name__)
            self._check(False, f"map raised {type(error).__name__}: {error}")
            return
        for fault in draw.faults:
            if fault.kind in ("cancel", "drop"):
                time.sleep(min(fault.at, draw.deadline))
                if fault.kind == "drop":
                    self._say_when("drop the run")
                    self.outcome.ended.append("dropped")
                    return
                self._say_when("cancel the run")
                run.cancel()
                end = clock.time()
        self.runs.append(run)
        answer, error = _ending(run, draw.deadline + 30)
        lateness = clock.time() - end
        self.outcome.lateness = max(self.outcome.lateness, lateness)
        if isinstance(error, CancelledError):
            # The caller hears of it at once, and the run a moment later.
            with self._checking("a cancelled run"):
                until(lambda: settled(run.report), 120, "its report says that it still waits")
        report = run.report
        self.outcome.reports.append(report)
        self.outcome.ended.append("answer" if error is None else type(error).__name__)
        self._say_when(f"ended {lateness:+.3f} s after the deadline: {error!r}\n{report}")
        self._check(lateness <= GRACE, f"ended {lateness:.2f} s after its deadline")
        failures = [*report_failures(report, self.behave, draw.first_only)]
        if error is None:
            failures += self._check_answer(answer, report, self.coded.code)
        else:
            failures += error_failures(draw, report, error)
        for failure in failures:
            self._check(False, failure)

    def _check_answer(
        self, answer: Array, report: dask_bacc.RunReport, code: dask_bacc.coding.Code
    ) -> Iterator[str]:
        draw = self.draw
        if report.error is None or answer.shape != (draw.k * ROWS, OUTPUTS):
            yield f"an answer of shape {answer.shape} and error {report.error}"
            return
        # NaN of a block's own result is that block's answer, and nobody else's.
        truth = self.truth.copy()
        truth[code.own_blocks[list(report.not_finite)]] = np.nan
        answer = answer.reshape(truth.shape)
        if not np.array_equal(np.isnan(answer), np.isnan(truth)):
            yield "NaN in an answer is not where chunks returned it"
            return
        good = [chunk for chunk in report.returned if chunk not in report.not_finite]
        mixed = np.tensordot(code.generator[good], self.blocks, axes=1)
        results = compute(mixed, draw.function, *self.arguments[1])
        actual = relative_error(np.nan_to_num(answer), np.nan_to_num(truth), results)
        if report.error > 0:
            self.outcome.ratios.append(actual / max(report.error, ROUNDING))
        yield from answer_failures(draw, report, actual)

    def _check_restarted(self, holds: bool) -> None:
        """With cancel="restart", workers stuck in a chunk are replaced if they hold nothing."""
        if self.draw.cancel != "restart" or holds:
            return
        stuck = {
            worker
            for report in self.outcome.reports
            for chunk, record in enumerate(report.chunks)
            if self.behave.get(chunk) == "deaf"
            for worker in _cancelled_at(record, self.draw.first_only)
        }
        for address in stuck:
            if self.pids.get(address) not in self.striker.stopped:
                until(
                    lambda address=address: address not in pids(self.client),
                    REPLACED,
                    f"{address} is still stuck in a cancelled chunk",
                )
                self._say_when(f"{address} was replaced")

    def _heal(self) -> None:
        """Make all faults good, and see that nothing is left."""
        self.striker.resume()
        client, (workers, _) = self.client, self.draw.shape
        wounded = self.striker.wounded
        try:
            until(
                lambda: not any(alive(pid) for pid in wounded) and len(pids(client)) == workers,
                HEALED,
                "killed workers were not replaced",
            )
        except TimeoutError as error:
            self._say_when(str(error))
            self.outcome.healed = False
            return
        with self._checking("after making good"):
            self.arena.baseline.check_keys(client)
        # The gate opens for deaf chunks only: whoever asks must have stopped by himself.
        if "deaf" in self.draw.kinds:
            self.gate.touch()
        with self._checking("after making good"):
            # For 30 s a worker tries to reach one that has died and whose data it wanted.
            died = wounded or self.draw.cancel == "restart"
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


def _cancelled_at(record: dask_bacc.ChunkRecord, first_only: bool) -> Iterator[str]:
    """Workers that were at a chunk which never ends when it was cancelled."""
    for number, tried in record.tried:
        over = tried is not record or record.state == "cancelled"
        if over and tried.worker and tried.done is None and not (first_only and number):
            yield tried.worker
