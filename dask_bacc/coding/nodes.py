"""Chebyshev nodes on ``[-1, 1]`` and the bisection that adds parity nodes to them.

Every node is ``cos(pi * q)`` of a correctly rounded quotient ``q``, so nodes that are equal as
rational angles are equal as floats and an exact hit needs no tolerance.
"""

from __future__ import annotations

import numpy as np

from dask_bacc.coding._typing import FloatArray


def chebyshev_first(count: int) -> FloatArray:
    """Chebyshev nodes of the first kind, ``cos((2j + 1) pi / 2 count)``, descending.

    Examples
    --------
    >>> chebyshev_first(2).round(4)
    array([ 0.7071, -0.7071])
    """
    return _cosines(_first_kind_angles(count))


def chebyshev_second(count: int) -> FloatArray:
    """Chebyshev nodes of the second kind, ``cos(i pi / (count - 1))``, descending.

    Examples
    --------
    >>> chebyshev_second(3).round(4)
    array([ 1.,  0., -1.])
    """
    return _cosines(np.arange(count) / max(count - 1, 1))


def bisected(count: int, extra: int) -> FloatArray:
    """First-kind nodes followed by ``extra`` nodes that bisect the widest gaps in angle.

    Parameters
    ----------
    count : int
        Number of first-kind nodes.
    extra : int
        Number of nodes added, each in the middle (in ``theta = arccos(node)``) of a gap that is
        widest at that moment; among equally wide gaps, evenly spread ones.

    Returns
    -------
    nodes : (count + extra,) ndarray of float64

    Examples
    --------
    >>> bisected(2, 1).round(4)
    array([ 0.7071, -0.7071,  0.    ])
    """
    added: list[FloatArray] = []
    # First the gaps between neighbours, at multiples of 1/count. From then on all gaps, those at
    # the two ends among them, are equally wide and are halved together.
    middles = np.arange(1, count) / count
    halvings = count
    while extra > 0:
        if extra < len(middles):
            middles = middles[(2 * np.arange(extra) + 1) * len(middles) // (2 * extra)]
        added.append(middles)
        extra -= len(middles)
        halvings *= 2
        middles = (2 * np.arange(halvings) + 1) / (2 * halvings)
    return _cosines(np.concatenate([_first_kind_angles(count), *added]))


def _cosines(quotients: FloatArray) -> FloatArray:
    """Nodes at these parts of a half turn; read-only, since codes share them."""
    nodes = np.cos(np.pi * quotients)
    nodes.setflags(write=False)
    return nodes


def _first_kind_angles(count: int) -> FloatArray:
    return (2 * np.arange(count) + 1) / (2 * count)
