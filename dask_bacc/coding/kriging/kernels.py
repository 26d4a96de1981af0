"""Covariance families of the process, each with the derivative that fitting needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dask_bacc.coding._typing import BoolArray, FloatArray, IndexArray

#: Squared distance, in units of squared norms, below which two points are one: what rounding
#: leaves of a difference of norms.
SAME_POINT = 1e-14
#: Distance of the blocks' mean from the origin over their own from the mean, from which on the
#: origin tells nothing of them.
FAR = 2.0
#: Variance of the biases of sigmoidal units, in units of an RMS block's share of their input.
UNIT_BIAS = 0.3


@dataclass(frozen=True)
class Geometry:
    """How two sets of points lie to each other, from their inner products alone."""

    #: ``(a, b)`` inner products
    inner: FloatArray
    #: ``(a, b)`` squared distances
    squared_distance: FloatArray
    #: ``(a,)`` and ``(b,)`` squared norms
    left: FloatArray
    right: FloatArray
    #: the same before anything was taken off the points
    left_size: FloatArray
    right_size: FloatArray

    @classmethod
    def of(
        cls,
        points: FloatArray,
        gram: FloatArray | None = None,
        before: FloatArray | None = None,
    ) -> Geometry:
        """The geometry of linear combinations of blocks.

        Parameters
        ----------
        points : (a, k) ndarray
            Coefficients of every point.
        gram : (k, k) ndarray, optional
            Inner products of the blocks; by default they are orthonormal.
        before : (k, k) ndarray, optional
            The same before anything was taken off the blocks, which leaves its rounding behind.
        """
        inner = (points if gram is None else points @ gram) @ points.T
        norms = np.diag(inner).copy()
        distance = np.maximum(norms[:, None] + norms - 2 * inner, 0.0)
        sizes = norms if before is None else np.einsum("ij,jk,ik->i", points, before, points)
        return cls(inner, distance, norms, norms, sizes, sizes)

    @property
    def coincident(self) -> BoolArray:
        """``(a, b)`` whether two points are the same but for rounding."""
        sizes = self.left_size[:, None] + self.right_size
        same: BoolArray = self.squared_distance <= SAME_POINT * sizes
        return same

    def between(self, left: IndexArray, right: IndexArray) -> Geometry:
        """The geometry of some points to others."""
        both = np.ix_(left, right)
        return Geometry(
            self.inner[both],
            self.squared_distance[both],
            self.left[left],
            self.right[right],
            self.left_size[left],
            self.right_size[right],
        )

    def among(self, points: IndexArray) -> Geometry:
        """The geometry of some points to each other."""
        return self.between(points, points)


def off_mean(gram: FloatArray) -> FloatArray:
    """Inner products of blocks whose mean is taken off them.

    Examples
    --------
    >>> off_mean(np.array([[4.0, 2.0], [2.0, 1.0]]))
    array([[ 0.25, -0.25],
           [-0.25,  0.25]])
    """
    mean = gram.mean(axis=0)
    found: FloatArray = gram - mean[:, None] - mean + float(mean.mean())
    return found


def centred(gram: FloatArray) -> FloatArray:
    """Inner products of blocks whose mean is taken off them if they are far from the origin.

    A covariance of blocks that have a large offset in common is nearly constant, and what differs
    is lost in rounding. Near the origin many functions are small, which is worth knowing. Blocks
    that are all the same stay where they are.

    Examples
    --------
    >>> centred(np.array([[10201.0, 10100.0], [10100.0, 10000.0]]))
    array([[ 0.25, -0.25],
           [-0.25,  0.25]])
    """
    square = float(gram.mean(axis=0).mean())
    spread = float(np.trace(gram)) / len(gram) - square
    return off_mean(gram) if is_far(square, spread) else gram


def is_far(square: float, spread: float) -> bool:
    """Whether points are far from the origin, beside how far they are from their mean.

    Parameters
    ----------
    square : float
        Of their mean's distance from the origin.
    spread : float
        Mean square of their distances from the mean.
    """
    return SAME_POINT * square < FAR**2 * spread < square


#: Covariance and its derivative by the logarithm of the length scale.
Shape = Callable[[Geometry, float], tuple[FloatArray, FloatArray]]


@dataclass(frozen=True)
class Family:
    """One shape of covariance beside the constant and the linear term."""

    name: str
    shape: Shape
    #: logarithm of the length scale, in units of the RMS norm of a block, where fitting starts
    log_length: float
    #: whether its functions have a limited number of coefficients
    finite: bool = False


def straight(geometry: Geometry, _: float) -> tuple[FloatArray, FloatArray]:
    """Affine functions: nothing beside the constant and the linear term."""
    nothing = np.zeros_like(geometry.inner)
    return nothing, nothing


def rational_quadratic(geometry: Geometry, log_length: float) -> tuple[FloatArray, FloatArray]:
    """Infinitely smooth functions that vary on many scales.

    A function that treats the rows of a block one by one sees as many distances as there are rows,
    and a mixture of squared exponentials is what the mean distance makes of them.

    References
    ----------
    Rasmussen and Williams, "Gaussian Processes for Machine Learning" (2006), eq. 4.19, alpha 1.
    """
    ratio = geometry.squared_distance * np.exp(-2 * log_length)
    value = 1 / (1 + 0.5 * ratio)
    return value, ratio * value**2


def matern_3_2(geometry: Geometry, log_length: float) -> tuple[FloatArray, FloatArray]:
    """Functions with one derivative."""
    ratio = np.sqrt(3 * geometry.squared_distance) * np.exp(-log_length)
    decay = np.exp(-ratio)
    return (1 + ratio) * decay, ratio**2 * decay


def matern_5_2(geometry: Geometry, log_length: float) -> tuple[FloatArray, FloatArray]:
    """Functions with two derivatives."""
    ratio = np.sqrt(5 * geometry.squared_distance) * np.exp(-log_length)
    decay = np.exp(-ratio)
    return (1 + ratio + ratio**2 / 3) * decay, ratio**2 * (1 + ratio) / 3 * decay


def quadratic(geometry: Geometry, _: float) -> tuple[FloatArray, FloatArray]:
    """Quadratic functions; has no length scale."""
    return geometry.inner**2, np.zeros_like(geometry.inner)


def arc_cosine(geometry: Geometry, log_length: float) -> tuple[FloatArray, FloatArray]:
    """Wide layers of rectified linear units, with a bias in place of a length.

    References
    ----------
    Cho and Saul, "Kernel Methods for Deep Learning", NIPS 2009, eq. 1 with n = 1.
    """
    bias = np.exp(log_length)
    left, right = geometry.left[:, None] + bias, geometry.right + bias
    norms = np.sqrt(left * right)
    cosine = np.clip((geometry.inner + bias) / norms, -1, 1)
    angle = np.pi - np.arccos(cosine)
    bend = np.sqrt(1 - cosine**2) + angle * cosine
    by_norms = 0.5 * (left + right) / norms
    by_cosine = 1 / norms - 0.5 * cosine * (1 / left + 1 / right)
    return norms * bend / np.pi, bias * (by_norms * bend + norms * angle * by_cosine) / np.pi


def arc_sine(geometry: Geometry, log_length: float) -> tuple[FloatArray, FloatArray]:
    """Wide layers of sigmoidal units; the shorter the length, the steeper they are.

    References
    ----------
    Williams, "Computation with Infinite Neural Networks", Neural Computation 10, 1998, eq. 11.
    """
    steepness = 2 * np.exp(-2 * log_length)
    left, right = geometry.left[:, None] + UNIT_BIAS, geometry.right + UNIT_BIAS
    norms = np.sqrt((1 + steepness * left) * (1 + steepness * right))
    sine = np.clip(steepness * (geometry.inner + UNIT_BIAS) / norms, -1, 1)
    # By the logarithm of the steepness, which falls by two as that of the length grows by one.
    slope = 0.5 * sine * (1 / (1 + steepness * left) + 1 / (1 + steepness * right))
    cosine = np.sqrt(np.maximum(1 - sine**2, np.finfo(float).eps))
    return np.arcsin(sine), -2 * slope / cosine


#: To be considered only where more results are in than an affine function has coefficients: with
#: fewer it explains whatever has come.
AFFINE = Family("linear", straight, 0.0, finite=True)

#: Those that are often the likeliest come first, so that searches of others may end early.
FAMILIES = (
    Family("rational quadratic", rational_quadratic, 0.5),
    Family("arc-sine", arc_sine, 0.0),
    Family("arc-cosine", arc_cosine, -1.0),
    Family("Matérn 5/2", matern_5_2, 0.7),
    Family("Matérn 3/2", matern_3_2, 1.0),
    Family("quadratic", quadratic, 0.0, finite=True),
)
