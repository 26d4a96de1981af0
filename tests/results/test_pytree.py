"""Structures of arrays."""

from __future__ import annotations

from collections import namedtuple

import numpy as np
import pytest

from dask_bacc.results.pytree import flatten, unflatten

Pair = namedtuple("Pair", "left right")


@pytest.mark.parametrize(
    "value",
    [
        np.arange(3),
        (np.arange(3), np.ones((2, 2))),
        [1.5, np.arange(2)],
        {"b": np.zeros(2), "a": [np.ones(1), (2, 3j)]},
        Pair(np.zeros(2), {"x": np.ones(3)}),
        {},
    ],
)
def test_structures_come_back_as_they_were(value):
    back = unflatten(*flatten(value))
    assert type(back) is type(value) or isinstance(back, np.ndarray)
    np.testing.assert_equal(back, value)
