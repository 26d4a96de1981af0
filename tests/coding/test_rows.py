"""Answers that are made row by row."""

from __future__ import annotations

import numpy as np

from dask_bacc.coding.rows import RowWeights, as_rows


def test_answers_of_rows_are_products_of_matrices():
    rng = np.random.default_rng(11)
    results = list(rng.normal(size=(3, 2, 5, 4)))
    matrices = rng.normal(size=(2, 3, 9))[0], rng.normal(size=(2, 6))
    weights = RowWeights(
        np.array([4]),
        np.array([0, 2]),
        ((slice(0, 3), matrices[0][:, :6]), (slice(3, 5), matrices[1][:, :4])),
    )
    out = [np.empty((2, 5, 4))]
    weights.fill(out, results, axis=1)
    rows = [as_rows(results[i], 1) for i in (0, 2)]
    expected = np.concatenate(
        [
            matrices[0][:, :6] @ np.concatenate([part[:3] for part in rows]),
            matrices[1][:, :4] @ np.concatenate([part[3:] for part in rows]),
        ]
    )
    np.testing.assert_allclose(as_rows(out[0], 1), expected)
