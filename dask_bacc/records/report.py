"""What happened in a run, for its users to read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from dask_bacc.records.chunk import ChunkRecord
from dask_bacc.records.events import RunEvent, Stop

#: Workers that are named in a line at most.
FEW = 8


@dataclass(frozen=True, repr=False)
class RunReport:
    """Who returned, who did not, and how good the answer is.

    Chunks are named by their index. A straggler is a chunk whose result was not in when decoding
    started, whatever the reason.
    """

    #: number of blocks and of coded chunks
    k: int
    n: int
    #: chunks whose results are in, in order of arrival
    returned: tuple[int, ...]
    #: chunks that were launched and whose results are not in
    missing: tuple[int, ...]
    #: exception of every chunk that raised, or whose result could not be used
    erred: dict[int, BaseException]
    #: chunks that were given up
    cancelled: tuple[int, ...]
    #: of those, the chunks with the worker that may still be at it: a running function keeps its
    #: thread until it returns
    still_running: dict[int, str]
    #: name of the decoder
    decoder: str
    #: estimated RMS error of the whole answer over the RMS value of the results. Arrays of one
    #: shape count as one, in which each is weighed by its own size; of several shapes it is for
    #: each block that of the shape where it is worst; with ``combine="sum"`` and ``"mean"`` the
    #: most that it may be, or by the model of rounds its RMS, over that of the answer; 0 if
    #: nothing is estimated, None if the decoder estimates none or there is no answer. While the
    #: run goes on, that of the results that were looked at last
    error: float | None
    #: estimated RMS error of every block in the same unit, or None
    block_error: tuple[float, ...] | None
    #: estimated error of the arrays of each shape that the function returns, by where they are in
    #: its result, in the unit of `error`
    leaf_error: dict[str, float] = field(default_factory=dict, kw_only=True)
    #: blocks that were decoded from results of earlier rounds, too, with how many rounds before
    #: this one their own came; None for never
    remembered: dict[int, int | None] = field(default_factory=dict, kw_only=True)
    #: why decoding started; None while the run goes on
    stopped: Stop | None
    #: seconds from submission to the answer, or until now
    seconds: float
    #: every chunk's record
    chunks: tuple[ChunkRecord, ...]
    #: of those, the chunks that are mixed of several blocks
    mixed: tuple[int, ...] = ()
    #: covariance that explains the results best, or several for several groups of the code or
    #: shapes of the answer; "of rows" if the rows of blocks were its points; None if the decoder
    #: has none or nothing is estimated
    kernel: str | None = None
    #: RMS of what differs between results of the same block, in the unit of `error`; 0 unless the
    #: function is found to be noisy
    noise: float = 0.0
    #: chunks whose results look corrupted; in the answer unless the run was to replace them
    suspects: tuple[int, ...] = ()
    #: chunks whose results have NaN or infinity, which the function returned for the block itself:
    #: it is in the answer for that block, and no other block is estimated from it
    not_finite: tuple[int, ...] = ()
    #: chunks that are late by ``bacc.backup``, while the run waits for results
    late: tuple[int, ...] = ()
    #: workers that were slow in runs of this client before, with their times the usual duration:
    #: they are given nothing, as long as their share would make everybody wait, and no backups
    slow: dict[str, float] = field(default_factory=dict)
    #: workers that were not as they should be while the run went on, with what was the matter:
    #: gone, told to leave, paused, or without an answer, whether they had a chunk or not
    troubles: dict[str, str] = field(default_factory=dict)
    #: seconds of the run that went into decoding matrices and error estimates; results that came
    #: meanwhile were not kept waiting
    solving: float = 0.0
    #: what happened, in order
    events: tuple[RunEvent, ...] = field(default=(), repr=False)

    @property
    def state(self) -> str:
        """Why decoding started, or that it did not."""
        if self.stopped is not None:
            return str(self.stopped)
        if not any(chunk.is_open for chunk in self.chunks):
            return "given up"
        if any(chunk.started is not None for chunk in self.chunks):
            return "still waiting"
        # Workers that have never run anything take a second or more to import what they need.
        return "starting"

    @property
    def error_text(self) -> str:
        """The error of the answer in words."""
        if self.error is None:
            return "its error is not estimated"
        if self.error == 0:
            return "nothing is estimated"
        if self.kernel == "zero":
            return "all results are zero, which says nothing of those that are missing"
        text = f"its estimated relative error is {self.error:.2g}"
        return f"{text}, and the function is noisy by {self.noise:.2g}" if self.noise else text

    def __str__(self) -> str:
        lines = [
            f"{len(self.returned)} of {self.n} chunks returned (k={self.k}) "
            f"in {self.seconds:.2f} s; {self.state}",
            f"decoder {self.decoder}; {self.error_text}",
        ]
        lines += [f"{what}: {said}" for what, said in self.notes]
        over = self.stopped is not None
        waiting = [] if over else [i for i, chunk in enumerate(self.chunks) if chunk.is_open]
        if waiting:
            lines.append(f"waiting for: {ranges(waiting)}")
        if lost := [i for i in self.missing if i not in waiting]:
            lines.append(f"missing: {ranges(lost)}")
        lines += [f"{what}: {said}" for what, said in self.errors]
        if self.still_running:
            places = [f"{i} on {worker}" for i, worker in self.still_running.items()]
            lines.append(f"may still be running: {_some(places)}")
        if over:
            lines.append(f"work: {self.work:.2f} times that of every block run once")
        return "\n".join(lines)

    @property
    def notes(self) -> list[tuple[str, str]]:
        """What is out of the ordinary: heads, and what there is to say."""
        found = []
        if self.suspects:
            found.append(("corrupted, it seems", ", ".join(map(str, self.suspects))))
        if self.not_finite:
            found.append(("NaN or infinity, as the function returned", ranges(self.not_finite)))
        if self.slow:
            named = [f"{worker} ({times:.2g} times)" for worker, times in self.slow.items()]
            found.append(("slow before this run", ", ".join(named)))
        if self.troubles:
            said = [f"{worker} {trouble}" for worker, trouble in self.troubles.items()]
            found.append(("workers", _some(said)))
        if self.approximate:
            errors = [f"{block} ({error:.2g})" for block, error in self.approximate.items()]
            found.append(("approximate blocks, with their errors", _some(errors)))
        if self.remembered:
            ages = [f"{b} ({'never' if a is None else a})" for b, a in self.remembered.items()]
            found.append(("remembered blocks, with the rounds since", _some(ages)))
        if len(self.leaf_error) > 1 and self.error:
            errors = [f"{place} {error:.2g}" for place, error in self.leaf_error.items()]
            found.append(("errors of the arrays", _some(errors)))
        return found

    def __repr__(self) -> str:
        return (
            f"<RunReport: {len(self.returned)} of {self.n} chunks returned (k={self.k}) "
            f"in {self.seconds:.2f} s; {self.state}>"
        )

    @property
    def approximate(self) -> dict[int, float]:
        """Blocks whose answers are estimates, with the error of each; the others are exact."""
        return {block: error for block, error in enumerate(self.block_error or ()) if error > 0}

    @property
    def errors(self) -> list[tuple[str, str]]:
        """What was raised, each once: by which chunks, and what."""
        said: dict[str, list[int]] = {}
        for chunk, error in sorted(self.erred.items()):
            said.setdefault(f"{type(error).__name__}: {error}", []).append(chunk)
        return [
            (f"chunk{'s' * (len(chunks) > 1)} {ranges(chunks)}", text)
            for text, chunks in said.items()
        ]

    @property
    def work(self) -> float:
        """Attempts at chunks that started, over the number of blocks; 1 for plain Dask."""
        started = sum(
            tried.started is not None for chunk in self.chunks for _, tried in chunk.tried
        )
        return started / self.k


def _some(words: Sequence[str]) -> str:
    """The first few of them."""
    more = f" and {len(words) - FEW} more" if len(words) > FEW else ""
    return ", ".join(words[:FEW]) + more


def waited_for(report: RunReport) -> str:
    """Which chunks a run waits for, and which workers."""
    going_on = [i for i, chunk in enumerate(report.chunks) if chunk.is_open]
    workers = sorted({w for i in going_on for w in report.chunks[i].workers})
    text = f"{len(report.returned)} of {report.n} chunks returned (k={report.k})"
    if going_on:
        text += f", waiting for {ranges(going_on)}"
    return f"{text} on {', '.join(workers)}" if 0 < len(workers) <= FEW else text


def ranges(numbers: Sequence[int]) -> str:
    """Ascending numbers, those in a row by the first and the last.

    Examples
    --------
    >>> ranges([0, 1, 2, 5, 7, 8])
    '0-2, 5, 7, 8'
    """
    rows: list[list[int]] = []
    for number in numbers:
        if rows and number == rows[-1][-1] + 1:
            rows[-1].append(number)
        else:
            rows.append([number])
    return ", ".join(
        f"{row[0]}-{row[-1]}" if len(row) > 2 else ", ".join(map(str, row)) for row in rows
    )


@dataclass(frozen=True, eq=False, repr=False)
class Partial:
    """The answer as far as it goes."""

    #: what `CodedRun.result` would return
    answer: Any
    #: estimated error as in `RunReport.error`; None if the decoder estimates none
    error: float | None
    #: the same for every block
    block_error: tuple[float, ...] | None
    #: number of results it is made from
    returned: int

    def __repr__(self) -> str:
        error = "not estimated" if self.error is None else f"{self.error:.2g}"
        return f"<Partial: an answer from {self.returned} results, error {error}>"
