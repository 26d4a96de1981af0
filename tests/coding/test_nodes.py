from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest

from dask_bacc.coding.nodes import bisected, chebyshev_first, chebyshev_second


def test_nodes_are_the_papers():
    for k, n in [(4, 9), (8, 40)]:
        alpha = [np.cos((2 * j + 1) * np.pi / (2 * k)) for j in range(k)]
        beta = [np.cos(i * np.pi / (n - 1)) for i in range(n)]
        np.testing.assert_allclose(chebyshev_first(k), alpha, atol=1e-15)
        np.testing.assert_allclose(chebyshev_second(n), beta, atol=1e-15)


def test_single_node():
    np.testing.assert_allclose(chebyshev_first(1), [0.0], atol=1e-15)
    assert chebyshev_second(1) == [1.0]


@pytest.mark.parametrize("k", [1, 2, 3, 8])
def test_bisected_takes_a_widest_gap_every_time(k):
    """Brute force over exact fractions: no gap left whole is wider than one that was halved."""
    start = [Fraction(2 * j + 1, 2 * k) for j in range(k)]
    for extra in range(20):
        nodes = bisected(k, extra)
        np.testing.assert_array_equal(nodes[:k], chebyshev_first(k))
        angles = [Fraction(float(a / np.pi)).limit_denominator(4096) for a in np.arccos(nodes)]
        assert len(set(angles)) == k + extra
        halved = list(start)
        for _ in range(extra):
            edges = sorted([Fraction(0), *halved, Fraction(1)])
            # A gap of zero width appears only where a node sits on the border, which none does.
            _, low, high = max((b - a, a, b) for a, b in itertools.pairwise(edges))
            halved.append((low + high) / 2)
        widths = np.diff([float(a) for a in sorted([Fraction(0), *angles, Fraction(1)])])
        expected = np.diff([float(a) for a in sorted([Fraction(0), *halved, Fraction(1)])])
        np.testing.assert_allclose(np.sort(widths), np.sort(expected), atol=1e-12)


def test_parity_nodes_are_spread_over_equal_gaps():
    nodes = bisected(16, 4)[16:]
    gaps = np.sort(np.arccos(nodes) / np.pi * 16)
    assert np.diff(gaps).min() >= 3
