"""Barycentric rational interpolation: weights, evaluation and the Lebesgue constant."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from dask_bacc.coding._typing import FloatArray


def floater_hormann_weights(nodes: ArrayLike, degree: int) -> FloatArray:
    """Weights of the Floater-Hormann interpolant of the given degree; degree 0 is Berrut's.

    Parameters
    ----------
    nodes : (m,) array_like
        Distinct nodes in any order. Signs alternate over the *sorted* nodes.
    degree : int
        Degree ``d`` of the blended polynomials; at most ``m - 1`` has a meaning and is used.

    Returns
    -------
    weights : (m,) ndarray of float64
        In the order of `nodes`.

    References
    ----------
    Floater and Hormann, "Barycentric rational interpolation with no poles and high rates of
    approximation", Numer. Math. 107 (2007), eq. 18.

    Examples
    --------
    >>> floater_hormann_weights([0.0, 1.0, 2.0], degree=0)
    array([ 1., -1.,  1.])
    >>> floater_hormann_weights([0.0, 1.0, 2.0], degree=1)
    array([ 1., -2.,  1.])
    """
    given = np.asarray(nodes, dtype=np.float64)
    order = np.argsort(given)
    x = given[order]
    m = len(x)
    d = min(degree, m - 1)
    magnitude = np.zeros(m)
    for start in range(m - d):
        window = slice(start, start + d + 1)
        distance = np.abs(x[window, None] - x[window])
        np.fill_diagonal(distance, 1.0)
        magnitude[window] += 1.0 / distance.prod(axis=1)
    weights = np.empty(m)
    weights[order] = magnitude * (-1.0) ** np.arange(m)
    return weights


def interpolation_matrix(nodes: ArrayLike, weights: ArrayLike, at: ArrayLike) -> FloatArray:
    """Matrix of the barycentric interpolant: values at `nodes` to values at `at`.

    Parameters
    ----------
    nodes, weights : (m,) array_like
        Distinct nodes and their barycentric weights.
    at : (k,) array_like
        Where to evaluate. A point that is a node gives a unit row.

    Returns
    -------
    matrix : (k, m) ndarray of float64
        Rows sum to one.

    References
    ----------
    Berrut, "Rational functions for guaranteed and experimentally well-conditioned global
    interpolation", Comput. Math. Appl. 15 (1988).

    Examples
    --------
    >>> interpolation_matrix([0.0, 1.0], [1.0, -1.0], [0.0, 0.25])
    array([[1.  , 0.  ],
           [0.75, 0.25]])
    """
    x = np.asarray(nodes, dtype=np.float64)
    difference = np.asarray(at, dtype=np.float64)[:, None] - x
    matrix: FloatArray = (difference == 0).astype(np.float64)
    between = ~matrix.any(axis=1)
    gaps = difference[between]
    # The nearest node scales each row, so that a node one rounding error away cannot overflow.
    nearest = np.abs(gaps).min(axis=1, keepdims=True)
    terms = np.asarray(weights, dtype=np.float64) * (nearest / gaps)
    matrix[between] = terms / terms.sum(axis=1, keepdims=True)
    return matrix


def lebesgue_constant(nodes: ArrayLike, degree: int = 0) -> float:
    """How much the decoder on these nodes can magnify an error: its Lebesgue constant.

    The largest value over ``[-1, 1]`` of the sum of the absolute basis functions of the
    Floater-Hormann interpolant. Pass the nodes of a returned set, ``code.chunk_nodes[returned]``.

    Parameters
    ----------
    nodes : (m,) array_like
        The returned nodes, in any order; repeated ones count once.
    degree : int
        Degree of the interpolant, 0 for Berrut's.

    Returns
    -------
    float
        At least 1. Found on 64 points in every gap, so it is low by less than 0.1%.

    Examples
    --------
    >>> round(lebesgue_constant([-1.0, 0.0, 1.0]), 2)
    1.41
    """
    x = np.unique(np.asarray(nodes, dtype=np.float64))
    edges = np.unique(np.concatenate([[-1.0], x, [1.0]]))
    inside = (np.arange(64) + 0.5) / 64
    points = np.concatenate([edges, (edges[:-1, None] + np.diff(edges)[:, None] * inside).ravel()])
    matrix = interpolation_matrix(x, floater_hormann_weights(x, degree), points)
    return float(np.abs(matrix).sum(axis=1).max())
