"""A training one of whose workers hangs."""

from __future__ import annotations

import os

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from dask_bacc.learn import CodedTrainer  # noqa: E402

RNG = np.random.default_rng(0)
X = RNG.normal(size=(960, 10)).astype(np.float32)
Y = (X @ RNG.normal(size=10) > 0).astype(np.int64)


def test_a_training_goes_on_without_warnings_when_a_worker_hangs(start, hang):
    """For a round more is lost than the code does without; the step is shorter, and it is told."""
    with start(4).client() as client:
        lines = []

        def watch(line):
            lines.append(line)
            if len(lines) == 5:
                hang(min(client.run(os.getpid).values()))

        torch.manual_seed(0)
        trainer = CodedTrainer(
            torch.nn.Sequential(torch.nn.Linear(10, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2)),
            lr=0.5,
            optimizer_params={"momentum": 0.9},
            policy="rounds",
            n=9,
            shuffle=False,
            max_epochs=20,
            on_epoch=watch,
            client=client,
        ).fit(X, Y)
        history = trainer.history
        assert int(history.effective_blocks.min()) < 8
        assert (history.gradient_error[-5:] <= history.gradient_rtol[-5:]).all()
        assert trainer.score(X, Y) > 0.95
