"""Smoothing-spline decoder, its strength chosen by cross-validation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import scipy  # Loads its parts when they are used: every worker imports this module.

from dask_bacc.coding._typing import FloatArray
from dask_bacc.coding.decoders.base import Interpolant


@dataclass(frozen=True)
class SmoothingSpline(Interpolant):
    """Natural cubic smoothing spline over the returned nodes, as LeTCC decodes.

    The strength is the one with the smallest leave-one-out error over all outputs, which is had
    in closed form for every strength from one eigendecomposition. Choose it to compare with
    learning-theoretic coded computing, or for noisy results of a smooth function.

    References
    ----------
    Moradi, Tahmasebi and Maddah-Ali, "Coded Computing for Resilient Distributed Computing: A
    Learning-Theoretic Framework", arXiv 2406.00300; Green and Silverman, "Nonparametric
    Regression and Generalized Linear Models" (1994), section 2.3 for the roughness matrix.
    """

    uses_results: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """``"spline"``."""
        return "spline"

    def matrix(self, nodes: FloatArray, at: FloatArray, gram: FloatArray | None) -> FloatArray:
        """The spline's matrix at the strength chosen from the results' inner products."""
        m = len(nodes)
        if m == 1:
            return np.ones((len(at), 1))
        if m == 2:
            share = (at - nodes[0]) / (nodes[1] - nodes[0])
            return np.column_stack([1 - share, share])
        assert gram is not None
        return _natural_spline(nodes, at) @ _cross_validated_smoother(nodes, gram)


def roughness(nodes: FloatArray) -> FloatArray:
    """Matrix of the integral of the squared second derivative of the natural cubic spline.

    Examples
    --------
    >>> roughness(np.array([0.0, 1.0, 2.0]))
    array([[ 1.5, -3. ,  1.5],
           [-3. ,  6. , -3. ],
           [ 1.5, -3. ,  1.5]])
    """
    m = len(nodes)
    h = np.diff(nodes)
    inner = np.arange(m - 2)
    q = np.zeros((m, m - 2))
    q[inner, inner] = 1 / h[:-1]
    q[inner + 1, inner] = -1 / h[:-1] - 1 / h[1:]
    q[inner + 2, inner] = 1 / h[1:]
    r = np.diag((h[:-1] + h[1:]) / 3) + np.diag(h[1:-1] / 6, 1) + np.diag(h[1:-1] / 6, -1)
    return q @ np.linalg.solve(r, q.T)


def _cross_validated_smoother(nodes: FloatArray, gram: FloatArray) -> FloatArray:
    """The smoother ``(I + strength K)^-1`` whose leave-one-out error is smallest."""
    eigenvalues, vectors = np.linalg.eigh(roughness(nodes))
    # Two zero eigenvalues belong to straight lines, which no strength may touch.
    eigenvalues[:2] = 0.0
    rotated = vectors.T @ gram @ vectors
    best_error, best_removed = np.inf, np.zeros_like(eigenvalues)
    for strength in np.logspace(-6, 3, 37) / eigenvalues[2:].min():
        removed = strength * eigenvalues / (1 + strength * eigenvalues)
        rest = vectors * removed
        residual = np.sum((rest @ rotated) * rest, axis=1)
        leverage = np.einsum("ij,ij->i", rest, vectors)
        error = np.sum(residual / leverage**2)
        # With three results every strength predicts alike: rounding must not choose among them.
        if error < best_error * (1 - 1e-6):
            best_error, best_removed = error, removed
    smoother: FloatArray = (vectors * (1 - best_removed)) @ vectors.T
    return smoother


def _natural_spline(nodes: FloatArray, at: FloatArray) -> FloatArray:
    """Matrix of the natural cubic interpolating spline, straight beyond the outermost nodes."""
    spline = scipy.interpolate.CubicSpline(nodes, np.eye(len(nodes)), bc_type="natural")
    inside = np.clip(at, nodes[0], nodes[-1])
    matrix: FloatArray = spline(inside) + (at - inside)[:, None] * spline(inside, 1)
    return matrix
