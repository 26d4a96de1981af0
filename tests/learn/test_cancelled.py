"""Gradients that nobody wants any more, on real workers."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import dask_bacc
from dask_bacc.learn.model import Model, flat_weights, summed_gradient
from tests.shared import wait_until


class Marked(torch.autograd.Function):
    """What came, which marks the way by a file, and perhaps takes until it is cancelled."""

    @staticmethod
    def forward(context, x, folder, name, held):
        context.folder, context.name, context.held = folder, name, held
        mark(folder, f"{name} there", held=held == "there")
        return x.clone()

    @staticmethod
    def backward(context, gradient):
        mark(context.folder, f"{context.name} back", held=context.held == "back")
        return gradient, None, None, None


def mark(folder: str, name: str, *, held: bool) -> None:
    (Path(folder) / name).touch()
    while held and not dask_bacc.should_stop():
        time.sleep(0.01)


class Marking(nn.Module):
    def __init__(self, folder: Path, name: str, held: str = "") -> None:
        super().__init__()
        self.arguments = str(folder), name, held

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return Marked.apply(x, *self.arguments)


@pytest.mark.parametrize(
    ("held", "passed"),
    [
        ({"first": "there"}, {"first there"}),
        ({"second": "back"}, {"first there", "second there", "second back"}),
    ],
    ids=["forward", "backward"],
)
def test_a_cancelled_gradient_ends_at_the_next_layer(client, tmp_path, held, passed):
    layers = [Marking(tmp_path, name, held.get(name, "")) for name in ("first", "second")]
    module = nn.Sequential(nn.Linear(3, 4), *layers, nn.Linear(4, 1))
    model = Model.of(module, nn.MSELoss(), 0)
    coded = dask_bacc.encode(np.ones((4, 3)), np.ones((4, 1)), k=4, code="uncoded", axis=0)
    run = coded.map(summed_gradient, flat_weights(module), model, "0", combine="sum", kwargs={})
    wait_until(lambda: {path.name for path in tmp_path.iterdir()} == passed)
    run.cancel()
    wait_until(lambda: not any(client.run(lambda dask_worker: executing(dask_worker)).values()))
    assert {path.name for path in tmp_path.iterdir()} == passed


def executing(worker) -> int:
    """Tasks that have a thread, also those that are cancelled."""
    return worker.state.executing_count
