"""What coded runs compute on Kubernetes; pods see this machine's files."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from distributed import get_worker

K, N = 6, 8
X = np.sin(np.arange(48)[:, None] / 30 + np.arange(3))
WEIGHTS = np.random.default_rng(0).normal(size=(3, 60))


def wait_for(path: Path) -> None:
    """Wait until a file is there."""
    while not path.exists():
        time.sleep(0.01)


def linear(block: Any) -> Any:
    """Of which parity tells exactly what is missing."""
    return block @ WEIGHTS


def rough(block: Any) -> Any:
    """Of which nothing tells what is missing."""
    return np.sign(np.sin(1e3 * block))


def held(block: Any, folder: Path, func: Any) -> Any:
    """A function of a block, at the gate; chunks that are lost wait a second time.

    Says in files which chunks have begun, and how often.
    """
    chunk = get_worker().get_current_task()[1]
    with (folder / f"begun-{chunk}").open("a") as file:
        file.write(f"{get_worker().name}\n")
    wait_for(folder / "gate")
    if (folder / f"lost-{chunk}").exists():
        wait_for(folder / "end")
    return func(block)


def greedy(block: Any, folder: Path, func: Any) -> Any:
    """The first attempt at the first chunk takes more memory than its pod may have."""
    if get_worker().get_current_task()[1] == 0 and not (folder / "greedy").exists():
        (folder / "greedy").write_text(str(get_worker().name))
        np.ones(2**28)
    return func(block)


def noted(number: int, folder: Path) -> int:
    """A result, and a line in a file for every time that it is computed."""
    with (folder / f"noted-{number}").open("a") as file:
        file.write("computed\n")
    return number * number
