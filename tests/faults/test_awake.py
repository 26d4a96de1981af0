from __future__ import annotations

import os
import signal
import time

import psutil

from benchmarks.chaos.awake import AwakeClock
from tests.shared import wait_until


def test_the_clock_goes_with_time_and_stands_still_while_its_process_does():
    with AwakeClock() as clock:
        begin, real = clock.time(), time.monotonic()
        wait_until(lambda: clock.time() - begin > 0.5)
        assert time.monotonic() - real > 0.49
        os.kill(clock._process.pid, signal.SIGSTOP)
        wait_until(lambda: psutil.Process(clock._process.pid).status() == psutil.STATUS_STOPPED)
        before, real = clock.time(), time.monotonic()
        wait_until(lambda: time.monotonic() - real > 1)
        assert clock.time() == before
        os.kill(clock._process.pid, signal.SIGCONT)
        wait_until(lambda: clock.time() > before)
        assert clock.time() - before < 0.5
    assert clock._process.returncode is not None
