"""What is foreseen of results that have not come, against what is estimated once they have."""

from __future__ import annotations

import numpy as np
import pytest

from dask_bacc.coding import decoding_matrix, get_code
from dask_bacc.coding.arrays import inner_products
from dask_bacc.coding.decoders import Kriging, LeastSquares
from dask_bacc.coding.located import Located

FUNCTIONS = {
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0.0),
    "sine": lambda x: np.sin(3 * x),
    "rough": lambda x: np.sign(np.sin(1e3 * x)),
}


def solved(code, function, seed, chunks):
    """The decoding matrix that results of some chunks give, and the RMS value of all results."""
    rng = np.random.default_rng(seed)
    first, second, third = rng.normal(size=(3, 10, 20))
    angle = np.pi * (np.arange(code.k) + 0.5)[:, None, None] / code.k
    blocks = first + np.cos(angle) * second + 0.3 * np.sin(3 * angle) * third
    weights = rng.normal(size=(20, 40)) / 5
    results = [function(chunk @ weights) for chunk in np.tensordot(code.generator, blocks, 1)]
    kept = [results[i] for i in sorted(chunks)]
    matrix = decoding_matrix(
        code,
        chunks,
        Kriging(),
        inner=inner_products(kept, 1.0),
        outputs=kept[0].size,
        located=Located.at(np.einsum("iab,jab->ij", blocks, blocks)),
        values=np.stack([result.ravel()[:100] for result in kept]),
    )
    return matrix, float(np.sqrt(np.mean(np.square(results))))


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize(("k", "n"), [(8, 12), (16, 22)])
def test_it_is_what_the_estimate_will_be(name, k, n):
    code = get_code("systematic", k, n)
    ratios = []
    for seed in range(12):
        order = np.random.default_rng(seed).permutation(n).tolist()
        before, after = order[: k - 2], order[:k]
        then = solved(code, FUNCTIONS[name], seed, before)[0].foreseen(code, before, after)
        now = solved(code, FUNCTIONS[name], seed, after)[0].error
        ratios.append(np.sqrt(np.mean(then**2) / np.mean(now**2)))
    assert 0.6 < np.median(ratios) < 1.6


def test_more_chunks_never_leave_more_and_a_block_that_is_in_leaves_nothing():
    code = get_code("systematic", 8, 12)
    returned = [0, 1, 2, 4, 6, 9]
    matrix, _ = solved(code, np.tanh, 0, returned)
    before = matrix.foreseen(code, returned, [])
    np.testing.assert_allclose(before, matrix.error)
    for more in ([8], [8, 10], [8, 10, 11]):
        after = matrix.foreseen(code, returned, more)
        assert (after <= before + 1e-12).all()
        assert after[3] < before[3]
        before = after
    np.testing.assert_array_equal(matrix.foreseen(code, returned, [3])[[0, 3]], 0)
    assert matrix.foreseen(code, returned, [3, 5, 7]).sum() == 0


def test_groups_are_foreseen_each_by_itself():
    code = get_code("systematic", 16, 24, group_size=8)
    first, second = code.groups
    open_blocks = [first.blocks[2], second.blocks[3]]
    returned = [c for c in range(24) if code.own_blocks[c] >= 0]
    returned = [c for c in returned if code.own_blocks[c] not in open_blocks]
    matrix, _ = solved(code, np.tanh, 0, returned)
    parity = [c for c in range(24)[first.chunks] if code.own_blocks[c] < 0]
    before, after = (matrix.foreseen(code, returned, more)[open_blocks] for more in ([], parity))
    assert 0 < after[0] < before[0]
    assert after[1] == before[1]


def test_decoders_that_foresee_nothing_leave_what_is_known():
    code = get_code("local", 4, 6)
    matrix = decoding_matrix(code, [0, 1, 4], LeastSquares())
    np.testing.assert_array_equal(matrix.foreseen(code, [0, 1, 4], [2, 3]) > 0, 4 * [False])
    assert np.isinf(matrix.foreseen(code, [0, 1, 4], [2])[3])
