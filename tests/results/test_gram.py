"""Inner products of results that come one by one."""

from __future__ import annotations

import numpy as np
import pytest

from dask_bacc.results.gram import GrowingGram


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex128"])
def test_a_gram_grows_into_the_product(dtype):
    rng = np.random.default_rng(0)
    turn = np.exp(2j * np.arange(6)) if dtype == "complex128" else np.ones(6)
    arrays = (turn[:, None, None] * rng.normal(size=(6, 4, 5))).astype(dtype)
    gram = GrowingGram()
    for array in arrays:
        gram.add(array.reshape(1, -1).astype(np.result_type(array, np.float64)))
    flat = arrays.reshape(6, -1)
    flat = flat / 2.0 ** np.frexp(np.abs(flat[0]).max())[1]
    np.testing.assert_allclose(gram.matrix, (flat @ flat.conj().T).real, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("scales", [(1e-170, 1.0), (0.0, 1e-170), (0.0, 1e160), (1.0, 1e-170)])
def test_a_gram_of_results_of_very_different_size(scales):
    rng = np.random.default_rng(0)
    arrays = rng.normal(size=(5, 30))
    gram = GrowingGram()
    for array, scale in zip(arrays, (scales[0], *4 * (scales[1],)), strict=True):
        gram.add(scale * array[None])
    sizes = np.array((scales[0], *4 * (scales[1],))) / max(scales)
    expected = sizes[:, None] * sizes * (arrays @ arrays.T)
    found = gram.matrix
    np.testing.assert_allclose(
        found / np.trace(found), expected / np.trace(expected), rtol=1e-12, atol=1e-20
    )


def test_units_of_rows_do_not_depend_on_the_order_of_arrival():
    arrays = np.random.default_rng(0).normal(size=(12, 30, 2)) * np.logspace(-3, 3, 30)[:, None]
    grams = []
    for order in (slice(None), slice(None, None, -1)):
        gram = GrowingGram()
        for array in arrays[order]:
            gram.add(array)
        grams.append(gram.matrix[order, order])
    np.testing.assert_allclose(*grams, rtol=1e-12, atol=1e-12)
    scaled = arrays / 2.0 ** np.frexp(np.abs(arrays).max(axis=(0, 2)))[1][:, None]
    flat = scaled.reshape(12, -1)
    np.testing.assert_allclose(grams[0], flat @ flat.T, rtol=1e-12, atol=1e-12)
