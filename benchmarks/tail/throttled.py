"""One worker of eight throttled to a tenth of a processor, round after round."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import dask.array as da
import numpy as np
from distributed import wait

import dask_bacc
from benchmarks.tail.exact import rough
from benchmarks.tail.systems import Size, blocks_of, close, cluster_of

#: Eight workers, and one less.
EIGHT, SEVEN = Size(8, 8, workers=8, threads=1), Size(8, 8, workers=7, threads=1)
#: Share of a processor that is left to the throttled one.
SHARE = 0.1


def burn(block: np.ndarray, seconds: float) -> np.ndarray:
    """A rough function that takes so much of a processor's time."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass
    return rough(block)


@contextlib.contextmanager
def throttle(pid: int, share: float) -> Iterator[None]:
    """A process that has no more than a share of a processor, by a control group of version 1."""
    group = Path("/sys/fs/cgroup/cpu") / f"bacc-{os.getpid()}"
    group.mkdir()
    try:
        (group / "cpu.cfs_period_us").write_text("100000")
        (group / "cpu.cfs_quota_us").write_text(str(int(share * 100_000)))
        (group / "cgroup.procs").write_text(str(pid))
        yield
    finally:
        (group / "cpu.cfs_quota_us").write_text("-1")
        for task in (group / "cgroup.procs").read_text().split():
            with contextlib.suppress(OSError):
                (group.parent / "cgroup.procs").write_text(task)
        group.rmdir()


def throttled(rounds: int, seconds: float = 0.15) -> None:
    """Seconds of every round, over those of seven workers that are well."""
    blocks = blocks_of(EIGHT.k).reshape(-1, 20)
    truth = rough(blocks)
    well = _rounds(SEVEN, blocks, truth, rounds, seconds)
    _, pids = cluster_of(EIGHT)
    with throttle(pids[0], SHARE):
        found = _rounds(EIGHT, blocks, truth, rounds, seconds)
    close()
    usual = float(np.median(well[1:]))
    print(
        f"\none of 8 workers throttled to {SHARE:g} of a processor, k=8, {seconds} s of a "
        f"processor a block, {rounds} rounds; seven that are well take {usual:.2f} s"
    )
    print("times that, round by round: " + " ".join(f"{s / usual:.2f}" for s in found))
    print(f"after the second at most {max(found[2:]) / usual:.2f}")


def _rounds(
    size: Size, blocks: np.ndarray, truth: np.ndarray, rounds: int, seconds: float
) -> list[float]:
    cluster_of(size)
    coded = dask_bacc.encode(da.from_array(blocks, chunks=(10, 20)), k=size.k).persist()
    wait(coded)
    found = []
    for _ in range(rounds):
        begin = time.perf_counter()
        answer = coded.map(burn, seconds).result(timeout=120)
        found.append(time.perf_counter() - begin)
        np.testing.assert_array_equal(answer, truth)
    return found
