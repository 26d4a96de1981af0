"""What the demo maps: kept apart, so that workers import NumPy for it and nothing more."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def compress(images: Floats, mean: Floats, components: Floats, cost: float) -> Floats:
    """Principal components of images: linear."""
    _compute(cost)
    return (images - mean) @ components


def similarity(images: Floats, prototypes: Floats, length: float, cost: float) -> Floats:
    """Kernel of every image and every prototype, the features of a kernel machine: smooth."""
    _compute(cost)
    features: Floats = np.exp(-_squared_distances(images, prototypes) / (2 * length**2))
    return features


def nearest(images: Floats, prototypes: Floats, cost: float) -> Floats:
    """Number of the prototype that is nearest to every image: rough."""
    _compute(cost)
    found: Floats = np.argmin(_squared_distances(images, prototypes), axis=1).astype(float)
    return found


def _squared_distances(images: Floats, prototypes: Floats) -> Floats:
    squares: Floats = (images**2).sum(axis=1)[:, None] + (prototypes**2).sum(axis=1)
    distances: Floats = squares - 2 * images @ prototypes.T
    return distances


def _compute(cost: float) -> None:
    """Take so many seconds of a processor, for the arithmetic on 625 digits is soon done."""
    end = time.thread_time() + cost
    while time.thread_time() < end:
        pass
