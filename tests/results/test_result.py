"""One result: what it is made of, and what it must not be."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from dask_bacc.records.errors import RefusedError, ResultError
from dask_bacc.results.result import flat_result


def test_dicts_match_in_any_order():
    first = flat_result({"a": np.zeros(2), "b": np.ones(3)})
    second = flat_result({"b": np.ones(3), "a": np.zeros(2)})
    spec = first.spec()
    assert spec.matches(second.spec())
    assert [leaf.shape for leaf in first.leaves] == [leaf.shape for leaf in second.leaves]
    assert not spec.matches(flat_result({"a": np.zeros(2), "b": np.ones(4)}).spec())
    assert not spec.matches(flat_result([np.zeros(2), np.ones(3)]).spec())


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.array([1.0, np.nan]), r"shape \(2,\) has NaN or infinity"),
        ((1.0, np.complex64(np.inf)), "NaN or infinity"),
        ([np.zeros(2), np.longdouble(np.inf)], "NaN or infinity"),
    ],
)
def test_results_that_are_set_aside(value, message):
    with pytest.raises(ResultError, match=message):
        flat_result(value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "not NoneType"),
        ("text", "not str"),
        ({"a": object()}, "not object"),
        (np.array(["2020"], "M8[s]"), "datetime64"),
        (np.ma.masked_less(np.arange(3), 1), "masked"),
        (np.array([2**53 + 1]), r"beyond 2\*\*53, .* \(got ndarray of dtype int64\).* float64"),
        ([1, np.array(-(2**53) - 1)], r"beyond 2\*\*53"),
        ({"id": np.uint64(2**63)}, r"beyond 2\*\*53"),
        ([1.0, 2**70], r"beyond 2\*\*53.*got int"),
        (np.longdouble("1e400"), "beyond double precision's range.*scale them down"),
        (np.longdouble("1e400") * np.array([1, 1j]), "beyond double precision's range"),
    ],
)
def test_results_that_no_chunk_may_bring(value, message):
    with pytest.raises(RefusedError, match=message):
        flat_result(value)


def test_what_travels_grows_by_little_with_the_number_of_members():
    array, members = np.random.default_rng(0).normal(size=10_000), 10_000
    as_list = flat_result(array.tolist())
    assert len(as_list.leaves) == 1
    assert len(pickle.dumps(as_list)) < len(pickle.dumps(flat_result(array))) + 16 * members


def test_a_misfit_of_thousands_is_described_in_short():
    text = str(flat_result([np.zeros(3)] * 10_000).spec())
    assert len(text) < 300
    assert text.endswith("(10000 arrays in all)")
