"""Workers whose link is down, that are frozen, and that hardly get a processor."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from benchmarks.processes.cluster import pids, until
from tests.faults.work import DEADLINE, N, check, encoded, held, wait_for_start

#: Of the two ends of the link.
OUTSIDE, INSIDE = "10.211.55.1", "10.211.55.2"


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@pytest.fixture
def namespace():
    """A network namespace with one link to the outside."""
    name = f"bacc{os.getpid()}"
    if shutil.which("ip") is None:
        pytest.skip("network namespaces need the ip command")
    try:
        ip("netns", "add", name)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no network namespace can be made here: {error.stderr.decode().strip()}")
    link = f"v{os.getpid()}"
    try:
        ip("link", "add", link, "type", "veth", "peer", "name", "inside", "netns", name)
        ip("addr", "add", f"{OUTSIDE}/30", "dev", link)
        ip("link", "set", link, "up")
        ip("-n", name, "addr", "add", f"{INSIDE}/30", "dev", "inside")
        ip("-n", name, "link", "set", "inside", "up")
        ip("-n", name, "link", "set", "lo", "up")
        yield name, link
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):
            ip("link", "del", link)
        ip("netns", "del", name)


@pytest.mark.parametrize("launch", ["eager", "backup"])
def test_a_worker_is_partitioned(start, namespace, gate, nothing_left, launch):
    name, link = namespace
    nodes = start(3, host=OUTSIDE)
    nodes.add(1, host=INSIDE, prefix=["ip", "netns", "exec", name])
    with nodes.client() as client, nothing_left(client):
        run = encoded().map(
            held, gate, launch=launch, rtol=np.inf, deadline=DEADLINE, client=client
        )
        wait_for_start(run, 4)
        ip("link", "set", link, "down")
        gate.touch()
        report = check(run)
        assert report.stopped != "deadline"
        away = [i for i, chunk in enumerate(report.chunks) if INSIDE in (chunk.worker or "")]
        assert set(away) & set(report.missing)
        ip("link", "set", link, "up")
        del run


@contextlib.contextmanager
def control_group(controller):
    directory = Path("/sys/fs/cgroup") / controller / f"bacc-{os.getpid()}"
    try:
        directory.mkdir()
    except OSError as error:
        pytest.skip(f"no control group of version 1 can be made here: {error}")
    try:
        yield directory
    finally:
        for task in (directory / "cgroup.procs").read_text().split():
            with contextlib.suppress(OSError):
                (directory.parent / "cgroup.procs").write_text(task)
        directory.rmdir()


@pytest.mark.parametrize("how", ["frozen", "throttled"])
def test_a_worker_is_starved(start, gate, nothing_left, how):
    with (
        control_group("freezer" if how == "frozen" else "cpu") as group,
        start(4).client() as client,
        nothing_left(client),
    ):
        run = encoded().map(held, gate, rtol=np.inf, deadline=DEADLINE, client=client)
        wait_for_start(run, 4)
        victim, pid = next(iter(pids(client).items()))
        (group / "cgroup.procs").write_text(str(pid))
        if how == "frozen":
            (group / "freezer.state").write_text("FROZEN")
            state = group / "freezer.state"
            until(lambda: state.read_text().strip() == "FROZEN", 5, "not frozen")
        else:
            (group / "cpu.cfs_quota_us").write_text("1000")  # 1% of one processor
        try:
            gate.touch()
            report = check(run)
        finally:
            if how == "frozen":
                (group / "freezer.state").write_text("THAWED")
            else:
                (group / "cpu.cfs_quota_us").write_text("-1")
        assert report.stopped != "deadline"
        if how == "frozen":
            assert victim not in {report.chunks[i].worker for i in report.returned}
        assert len(report.returned) < N or how == "throttled"
        del run
