"""Answers that were made here and go back to the cluster."""

from __future__ import annotations

import numpy as np
import pytest

from dask_bacc.graphs.local import lazy_copy
from dask_bacc.results.joining import Cut, Joining
from dask_bacc.results.result import flat_result
from tests.gpu import LIBRARIES, is_there


@pytest.mark.parametrize("library", LIBRARIES)
def test_answers_that_go_back_may_be_empty_or_single_numbers(library):
    convert = LIBRARIES[library]
    both = [convert(np.ones((0, 4))), convert(np.ones(()))]
    joining = Joining("sum", (Cut((), 0),))
    empty, number = lazy_copy(both, 8, flat_result(both).layout, joining, "run")
    assert empty.chunks == ((0,), (4,))
    assert number.chunks == ()
    for array in (empty, number):
        assert is_there(array.compute(scheduler="sync"), library)
    joining = Joining("concat", (Cut((), 1),))
    (rows,) = lazy_copy(both[:1], 2, flat_result(both[:1]).layout, joining, "run")
    assert rows.chunks == ((0,), (2, 2))
