"""What chaos draws compute, and how chunks misbehave on the workers."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from distributed import get_worker

import dask_bacc
from benchmarks.chaos.draws import Draw

#: Rows and features of a block, and outputs of a row.
ROWS, FEATURES, OUTPUTS = 10, 6, 30

Array = np.ndarray[Any, Any]


def blocks_of(draw: Draw) -> Array:
    """``(k, rows, features)`` source blocks."""
    rng = np.random.default_rng([1, draw.seed])
    if draw.field == "smooth":
        position = (np.arange(draw.k) + 0.5) / draw.k
        waves = np.cos(np.pi * np.arange(3)[:, None] * position)
        return np.einsum("wk,wrf->krf", waves, rng.normal(size=(3, ROWS, FEATURES)))
    common = rng.normal(size=(ROWS, FEATURES))
    return common + 0.5 * rng.normal(size=(draw.k, ROWS, FEATURES))


def weights_of(draw: Draw) -> tuple[Array, Array]:
    """Weights of the function's two layers."""
    rng = np.random.default_rng([2, draw.seed])
    first = rng.normal(size=(FEATURES, OUTPUTS)) / np.sqrt(FEATURES)
    return first, rng.normal(size=(OUTPUTS, OUTPUTS)) / np.sqrt(OUTPUTS)


def compute(block: Array, function: str, first: Array, second: Array) -> Array:
    """The function itself, 300 outputs for every block."""
    if function == "tanh":
        return np.tanh(block @ first)
    if function == "sigmoid":
        return 1 / (1 + np.exp(-block @ first))
    return np.maximum(block @ first + 0.3, 0) @ second


def chaotic(
    block: Array,
    function: str,
    layers: tuple[Array, Array],
    seconds: tuple[float, ...],
    behave: dict[int, str],
    gate: str,
    first_only: bool,
) -> Any:
    """The function on a worker, where some chunks behave badly, or first attempts at them."""
    name, chunk = get_worker().get_current_task()
    well = first_only and "-again-" in name
    time.sleep(0.0 if well else seconds[chunk])  # stands in for compute time
    match None if well else behave.get(chunk):
        case "raise":
            raise ArithmeticError(f"chunk {chunk} fails")
        case "nan":
            return np.full((ROWS, OUTPUTS), np.nan)
        case "structure":
            return {"odd": np.zeros(3)}
        case "deaf":
            while not Path(gate).exists():
                time.sleep(0.005)
        case "obedient":
            while not (dask_bacc.should_stop() or Path(gate).exists()):
                time.sleep(0.005)
    return compute(block, function, *layers)
