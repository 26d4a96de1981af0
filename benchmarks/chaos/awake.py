"""A clock that stands still while the machine does; also the process that drives it.

Machines are paused, for a snapshot say. Whoever was paused with them is not late.
"""

from __future__ import annotations

import mmap
import os
import struct
import subprocess
import sys
import tempfile
import time
from typing import Self

#: Seconds between two ticks, above which nobody was awake.
ASLEEP = 0.1
SECONDS = struct.Struct("d")


class AwakeClock:
    """Seconds in which a process that does nothing but tick was awake."""

    def __enter__(self) -> Self:
        with tempfile.NamedTemporaryFile(prefix="awake-") as file:
            file.write(SECONDS.pack(0.0))
            file.flush()
            self._shared = mmap.mmap(file.fileno(), SECONDS.size)
            # In a process of its own: what holds up this one is counted.
            self._process = subprocess.Popen(
                [sys.executable, __file__, file.name], stdout=subprocess.PIPE
            )
            assert self._process.stdout is not None
            assert self._process.stdout.readline()
        return self

    def __exit__(self, *exc_info: object) -> None:
        with self._process:
            self._process.kill()
        self._shared.close()

    def time(self) -> float:
        """Seconds since it was started."""
        seconds: float
        (seconds,) = SECONDS.unpack(self._shared[:])
        return seconds


def tick(path: str) -> None:
    """Write the seconds to a file for as long as the parent lives."""
    parent, seconds, last = os.getppid(), 0.0, time.monotonic()
    with open(path, "r+b") as file, mmap.mmap(file.fileno(), SECONDS.size) as shared:
        print(flush=True)
        while os.getppid() == parent:
            time.sleep(0.01)
            now = time.monotonic()
            seconds, last = seconds + min(now - last, ASLEEP), now
            shared[:] = SECONDS.pack(seconds)


if __name__ == "__main__":
    tick(sys.argv[1])
