"""What is foreseen of an answer."""

from __future__ import annotations

import numpy as np
from threadpoolctl import threadpool_info

from dask_bacc import coding
from dask_bacc.coding.matrix import DecodingMatrix, GroupOutlook
from dask_bacc.records.estimate import ErrorEstimate
from dask_bacc.results.solved import Solved


class Watched:
    """An outlook by which every chunk leaves half of the variance, and that looks around."""

    def __init__(self):
        self.threads = set()

    def variance(self, chunks):
        self.threads |= {p["num_threads"] for p in threadpool_info() if p["user_api"] == "blas"}
        return np.full(4, 0.5 ** len(chunks))


def solved(outlook):
    """Blocks 0 and 1 are in, and the others off by a tenth."""
    code = coding.Local(4, 6)
    error = np.array([0.0, 0.0, 0.1, 0.1])
    part = GroupOutlook(np.arange(4), slice(0, 6), outlook)
    matrix = DecodingMatrix(np.zeros((4, 2)), error, outlooks=(part,))
    overall = float(np.sqrt(np.mean(error**2)))
    return code, Solved(2, [0, 1], [matrix], ErrorEstimate(overall, error), (1.0,))


def test_variances_shrink_errors_and_blocks_that_come_have_none():
    code, known = solved(Watched())
    now = known.estimate.overall
    assert known.foreseen(code, []) == now
    np.testing.assert_allclose(known.foreseen(code, [4]), now / np.sqrt(2))
    np.testing.assert_allclose(known.foreseen(code, [4, 5]), now / 2)
    # Of two blocks that are off one comes, and a chunk less is unknown for the other.
    np.testing.assert_allclose(known.foreseen(code, [2]), now / 2)
    assert known.foreseen(code, [2, 3]) == 0


def test_it_is_foreseen_on_one_thread():
    """It happens on the event loop, where threads of BLAS on busy cores took seconds."""
    outlook = Watched()
    code, known = solved(outlook)
    known.foreseen(code, [4])
    assert outlook.threads == {1}
