"""Data and functions that were picked to be awkward for whoever interpolates."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Array = np.ndarray
#: Most outputs of the functions that mix columns.
WIDTH = 30

_Kind = Callable[[np.random.Generator, int, tuple[int, int]], Array]


def _position(k: int) -> Array:
    return ((np.arange(k) + 0.5) / k)[:, None, None]


def _noise(rng: np.random.Generator, k: int, shape: tuple[int, int]) -> Array:
    return rng.normal(size=(k, *shape))


def _line(_: np.random.Generator, k: int, shape: tuple[int, int]) -> Array:
    return np.arange(k * shape[0], dtype=float).reshape(k, -1, 1) + np.zeros(shape)


def _wave(rng: np.random.Generator, k: int, shape: tuple[int, int]) -> Array:
    one, other = rng.normal(size=(2, *shape))
    turns, phase = rng.uniform(0.2, 2), rng.uniform(0, 6)
    return one + other * np.sin(2 * np.pi * turns * _position(k) + phase)


def _mean(rng: np.random.Generator, k: int, shape: tuple[int, int]) -> Array:
    return 3 * rng.normal(size=shape) + 0.3 * _noise(rng, k, shape)


def _clusters(rng: np.random.Generator, k: int, shape: tuple[int, int]) -> Array:
    return rng.normal(size=(3, *shape))[rng.integers(3, size=k)] + 0.05 * _noise(rng, k, shape)


def _sparse(rng: np.random.Generator, k: int, shape: tuple[int, int]) -> Array:
    return _noise(rng, k, shape) * (rng.random((k, *shape)) < 0.05)


def _walk(rng: np.random.Generator, k: int, shape: tuple[int, int]) -> Array:
    return _noise(rng, k, shape).cumsum(axis=0) / np.sqrt(k)


def _scales(rng: np.random.Generator, k: int, shape: tuple[int, int]) -> Array:
    return _noise(rng, k, shape) * np.exp(1.5 * rng.normal(size=(k, 1, 1)))


def _step(rng: np.random.Generator, k: int, shape: tuple[int, int]) -> Array:
    jump = (_position(k) > rng.random()) * rng.normal(size=shape)
    return jump + 0.02 * _noise(rng, k, shape)


def _zero_blocks(rng: np.random.Generator, k: int, shape: tuple[int, int]) -> Array:
    return _noise(rng, k, shape) * (rng.random((k, 1, 1)) < 0.6)


def _kelvin(rng: np.random.Generator, k: int, shape: tuple[int, int]) -> Array:
    season = 10 * np.sin(2 * np.pi * _position(k) + rng.uniform(0, 6))
    return 280 + season + 3 * _noise(rng, k, shape)


def _labels(rng: np.random.Generator, k: int, shape: tuple[int, int]) -> Array:
    return rng.integers(0, 4, size=(k, *shape)).astype(float)


def _odd_block(rng: np.random.Generator, k: int, shape: tuple[int, int]) -> Array:
    blocks = 0.1 * _noise(rng, k, shape) + rng.normal(size=shape)
    blocks[rng.integers(k)] += rng.choice([-1, 1]) * rng.choice([1.0, 5.0, 30.0])
    return blocks


def _ramp(rng: np.random.Generator, k: int, shape: tuple[int, int]) -> Array:
    one, other = rng.normal(size=(2, *shape))
    return one + rng.choice([0.3, 1.0, 3.0]) * other * (2 * _position(k) - 1)


DATA: dict[str, _Kind] = {
    "random": _noise,
    "line": _line,
    "wave": _wave,
    "mean": _mean,
    "clusters": _clusters,
    "sparse": _sparse,
    "walk": _walk,
    "scales": _scales,
    "step": _step,
    "zero blocks": _zero_blocks,
    "tiny": lambda rng, k, shape: 1e-6 * _noise(rng, k, shape),
    "huge": lambda rng, k, shape: 1e6 * _noise(rng, k, shape),
    "offset": lambda rng, k, shape: 1e9 + _noise(rng, k, shape),
    "kelvin": _kelvin,
    "poisson": lambda rng, k, shape: rng.poisson(2.0, size=(k, *shape)).astype(float),
    "rare ones": lambda rng, k, shape: (rng.random((k, *shape)) < 0.01).astype(float),
    "labels": _labels,
    "odd block": _odd_block,
    "ramp": _ramp,
    "integers": lambda rng, k, shape: rng.integers(-50, 50, size=(k, *shape)),
    "half": lambda rng, k, shape: _noise(rng, k, shape).astype(np.float16),
    "single": lambda rng, k, shape: _noise(rng, k, shape).astype(np.float32),
    "positive": lambda rng, k, shape: rng.gamma(1.0, size=(k, *shape)),
    "alike": lambda rng, k, shape: rng.normal(size=shape) + 1e-3 * _noise(rng, k, shape),
}


def mix(block: Array) -> Array:
    """A fixed linear map of the columns."""
    weights = np.random.default_rng(5).normal(size=(block.shape[1], WIDTH))
    return block @ weights / np.sqrt(block.shape[1])


def _double(block: Array) -> Array:
    return np.asarray(block, dtype=float)


def _spikes(block: Array) -> Array:
    return np.exp(-((_double(block) - 1.0) ** 2) / 0.005)


def _correlation(block: Array) -> Array:
    deviations = _double(block) - _double(block).mean(axis=0)
    product = deviations.T @ deviations
    size = np.sqrt(np.diag(product)) + 1e-3
    return product / size[:, None] / size


def _k_means(block: Array) -> Array:
    """Two centres after five of Lloyd's steps from the first and the last row."""
    rows = _double(block)
    centres = rows[[0, -1]]
    for _ in range(5):
        nearest = ((rows[:, None] - centres) ** 2).sum(axis=2).argmin(axis=1)
        centres = np.stack(
            [
                rows[nearest == c].mean(axis=0) if (nearest == c).any() else centres[c]
                for c in (0, 1)
            ]
        )
    return centres


def _softmax(block: Array) -> Array:
    shifted = np.exp(_double(block) - _double(block).max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def _gram(block: Array) -> Array:
    return _double(block).T @ _double(block)


def _histogram(block: Array) -> Array:
    return np.histogram(block, bins=10, range=(-3, 3))[0]


def _one_hot(block: Array) -> Array:
    return np.eye(block.shape[1])[np.argmax(block, axis=1)]


FUNCTIONS: dict[str, Callable[[Array], Array]] = {
    # linear and polynomial
    "linear": lambda b: mix(b) + 1,
    "identity": lambda b: b,
    "square": np.square,
    "cube": lambda b: mix(b) ** 3,
    "product": lambda b: b * b[::-1],
    "gram matrix": _gram,
    "differences": lambda b: np.diff(b, axis=1, prepend=0),
    "cumulative sum": lambda b: np.cumsum(b, axis=0),
    "constant": lambda _: np.full(4, 7.0),
    "with constants": lambda b: np.concatenate([mix(b).ravel(), np.ones(5)]),
    # smooth
    "tanh": lambda b: np.tanh(mix(b)),
    "tanh, float32": lambda b: np.tanh(mix(b)).astype(np.float32),
    "logistic": lambda b: 1 / (1 + np.exp(-np.clip(mix(b), -500, 500))),
    "steep logistic": lambda b: 1 / (1 + np.exp(-np.clip(20 * mix(b), -500, 500))),
    "saturated": lambda b: np.tanh(30 + _double(b)),
    "sine": lambda b: np.sin(3 * mix(b)),
    "fast sine": lambda b: np.sin(30 * mix(b)),
    "complex": lambda b: np.exp(1j * _double(b)),
    "gaussian": lambda b: np.exp(-np.square(mix(b))),
    "peak": lambda b: np.exp(-np.abs(_double(b))),
    "exponential": lambda b: np.exp(np.clip(mix(b), -20, 20)),
    "softplus": lambda b: np.logaddexp(0, mix(b)),
    "reciprocal": lambda b: 1 / (1 + np.square(mix(b))),
    "logarithm": lambda b: np.log1p(np.abs(mix(b))),
    "root": lambda b: np.sqrt(np.abs(mix(b))),
    "softmax": _softmax,
    "angle": lambda b: np.arctan2(mix(b)[:, ::2], mix(b)[:, 1::2]),
    "spectrum": lambda b: np.abs(np.fft.rfft(_double(b), axis=1)),
    "phases": lambda b: np.angle(np.fft.rfft(_double(b), axis=1)),
    "spikes": _spikes,
    # of few outputs
    "mean": lambda b: b.mean(keepdims=True, dtype=float).ravel(),
    "variance": lambda b: np.var(_double(b), axis=0),
    "norm": lambda b: np.linalg.norm(_double(b))[None],
    "skewness": lambda b: ((_double(b) - _double(b).mean()) ** 3).mean(keepdims=True).ravel(),
    "log-sum-exp": lambda b: np.logaddexp.reduce(np.clip(_double(b), -600, 600), axis=None)[None],
    # piecewise linear
    "rectified": lambda b: np.maximum(mix(b), 0),
    "absolute": lambda b: np.abs(mix(b)),
    "clip": lambda b: np.clip(b, -1, 1),
    "wide clip": lambda b: np.clip(mix(b), -3, 3),
    "dead zone": lambda b: np.sign(b) * np.maximum(np.abs(_double(b)) - 1, 0),
    "maximum": lambda b: b.max(axis=0),
    "range": lambda b: np.ptp(_double(b), axis=0),
    "sort": lambda b: np.sort(b, axis=0),
    "median": lambda b: np.median(_double(b), axis=1),
    "quantiles": lambda b: np.quantile(_double(b), [0.1, 0.5, 0.9], axis=1),
    "running maximum": lambda b: np.maximum.accumulate(b, axis=1),
    "k-means": _k_means,
    "wrapped": lambda b: np.mod(_double(b), 1.0),
    # counts, flags and labels
    "count above": lambda b: (b > 1).sum(axis=0),
    "rare count": lambda b: (b > 4).sum(keepdims=True).ravel(),
    "total count": lambda b: (b > 0).sum(keepdims=True).ravel(),
    "histogram": _histogram,
    "sign": lambda b: (b > 0).astype(float),
    "flag": lambda b: np.array([b.mean() > 0.5]),
    "argmax": lambda b: np.argmax(b, axis=1),
    "argsort": lambda b: np.argsort(b, axis=1, kind="stable"),
    "one hot": _one_hot,
    "rounded": lambda b: np.round(mix(b)),
    "step": lambda b: np.heaviside(mix(b) - 0.5, 0.5),
    "sign changes": lambda b: (np.diff(np.sign(b), axis=1) != 0).sum(axis=1),
    "unique values": lambda b: np.array([len(np.unique(np.round(_double(b), 1)))]),
    # linear algebra
    "singular values": lambda b: np.linalg.svd(_double(b), compute_uv=False),
    "eigenvalues": lambda b: np.linalg.eigvalsh(_gram(b)),
    "correlation": _correlation,
}
