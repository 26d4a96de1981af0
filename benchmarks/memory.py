"""Largest memory of processes, as the kernel keeps it (Linux)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path


def _status(pid: int, field: str) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    found = re.search(rf"{field}:\s+(\d+) kB", text)
    return 1024 * int(found[1]) if found else 0


def reset(pids: Iterable[int]) -> dict[int, int]:
    """Forget the largest memory so far; bytes of each process now."""
    sizes = {}
    for pid in pids:
        Path(f"/proc/{pid}/clear_refs").write_text("5")
        sizes[pid] = _status(pid, "VmRSS")
    return sizes


def largest(pids: Iterable[int]) -> dict[int, int]:
    """Largest bytes of each process since `reset`; 0 if it has ended."""
    return {pid: _status(pid, "VmHWM") if Path(f"/proc/{pid}").exists() else 0 for pid in pids}
