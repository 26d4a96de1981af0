"""The parts of a run that need no cluster: structures, the stop rule, combining."""

from __future__ import annotations

from collections import namedtuple

import numpy as np
import pytest

from dask_bacc import coding
from dask_bacc.cluster.combine import combine_results
from dask_bacc.cluster.errors import ResultError
from dask_bacc.cluster.policy import Stop, why_stop
from dask_bacc.cluster.report import Ledger
from dask_bacc.cluster.solver import GrowingGram, Solver
from dask_bacc.cluster.structure import flatten, rebuild

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
    flat = flatten(value)
    back = rebuild(flat.skeleton, flat.leaves)
    assert type(back) is type(value) or isinstance(back, np.ndarray)
    np.testing.assert_equal(back, value)


def test_dicts_match_in_any_order():
    first = flatten({"a": np.zeros(2), "b": np.ones(3)})
    second = flatten({"b": np.ones(3), "a": np.zeros(2)})
    outline = first.outline()
    assert outline.matches(second.outline())
    assert [leaf.shape for leaf in first.leaves] == [leaf.shape for leaf in second.leaves]
    assert not outline.matches(flatten({"a": np.zeros(2), "b": np.ones(4)}).outline())
    assert not outline.matches(flatten([np.zeros(2), np.ones(3)]).outline())


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "not NoneType"),
        ("text", "not str"),
        ({"a": object()}, "not object"),
        (np.array(["2020"], "M8[s]"), "datetime64"),
        (np.ma.masked_less(np.arange(3), 1), "masked"),
        (np.array([1.0, np.nan]), r"shape \(2,\) has NaN or infinity"),
        ((1.0, np.complex64(np.inf)), "NaN or infinity"),
    ],
)
def test_results_that_cannot_be_decoded(value, message):
    with pytest.raises(ResultError, match=message):
        flatten(value)


RULE = {"enough": 4, "accurate": True, "elapsed": 1.0, "deadline": 5.0}


@pytest.mark.parametrize(
    ("code", "returned", "outstanding", "rule", "expected"),
    [
        (coding.Berrut(4, 8, systematic=True), [0, 1, 2], 5, {}, None),
        (coding.Berrut(4, 8, systematic=True), [0, 1, 2, 3], 4, {"enough": 8}, Stop.COMPLETE),
        (coding.Berrut(4, 8, systematic=True), [4, 5, 6, 7], 4, {}, Stop.ENOUGH),
        (coding.Berrut(4, 8, systematic=True), [7], 7, {"enough": 1}, None),
        (coding.Berrut(4, 8, systematic=True), [4, 5, 6, 7], 4, {"enough": 5}, None),
        (coding.Berrut(4, 8, systematic=True), [5], 0, {}, Stop.ENDED),
        (coding.Berrut(4, 8, systematic=True), [], 8, {"elapsed": 5.0}, Stop.DEADLINE),
        (coding.Berrut(4, 8, systematic=True), [], 8, {"elapsed": 9.0, "deadline": None}, None),
        (coding.Berrut(4, 8, systematic=True), [4, 5, 6, 7], 4, {"accurate": False}, None),
        (coding.Berrut(4, 8, systematic=True), [0, 4], 0, {"accurate": False}, Stop.ENDED),
        (coding.Repetition(4, 8), [0, 1, 4, 5], 4, {}, None),
        (coding.Repetition(4, 8), [0, 1, 4, 6, 7], 3, {}, Stop.COMPLETE),
        (coding.Lagrange(3, 8, degree=2), [0, 1, 2, 3], 4, {}, None),
        (coding.Lagrange(3, 8, degree=2), [0, 1, 2, 3, 4], 3, {}, Stop.ENOUGH),
        (coding.Local(4, 6), [0, 1, 2, 4], 2, {}, None),
        (coding.Local(4, 6), [0, 1, 4, 5], 2, {}, Stop.ENOUGH),
    ],
)
def test_when_to_decode(code, returned, outstanding, rule, expected):
    decoder = coding.get_decoder("least-squares" if isinstance(code, coding.Local) else None, code)
    stop = why_stop(code, decoder, returned=returned, outstanding=outstanding, **{**RULE, **rule})
    assert stop == expected


@pytest.mark.parametrize("returned", [[0, 1, 2, 3], [0, 2, 4, 5, 7], [6]])
def test_every_way_to_combine_is_that_of_the_decoded_blocks(returned):
    code = coding.Berrut(4, 8, systematic=True)
    decoder = coding.get_decoder("berrut", code)
    values = {i: np.random.default_rng(i).normal(size=(3, 2)) for i in returned}
    blocks = coding.decode(code, values, decoder).blocks
    results = {i: flatten({"x": v}) for i, v in values.items()}
    solved = Solver(code, decoder).solve(outlines(results), {})
    expected = {
        "stack": blocks,
        "sum": blocks.sum(axis=0),
        "mean": blocks.mean(axis=0),
    }
    for combine, answer in expected.items():
        ours = combine_results(solved, results, combine, 0)
        np.testing.assert_allclose(ours["x"], answer, atol=1e-12)
    for axis in (0, 1, -1):
        ours = combine_results(solved, results, "concat", axis)
        np.testing.assert_array_equal(ours["x"], np.concatenate(list(blocks), axis=axis))


def test_concat_needs_the_axis():
    solver = Solver(coding.Uncoded(2, 2), coding.FirstCopy())
    scalars = {0: flatten(1.0), 1: flatten(2.0)}
    with pytest.raises(ValueError, match="scalar results"):
        combine_results(solver.solve(outlines(scalars), {}), scalars, "concat", 0)
    flat = Solver(coding.Uncoded(2, 2), coding.FirstCopy())
    results = {0: flatten(np.ones(3)), 1: flatten(np.ones(3))}
    with pytest.raises(ValueError, match=r"shape \(3,\) have no axis 1"):
        combine_results(flat.solve(outlines(results), {}), results, "concat", 1)


def outlines(results):
    return {chunk: result.outline() for chunk, result in results.items()}


def test_a_lost_block_is_lost_in_every_leaf():
    solver = Solver(coding.Repetition(3, 4), coding.FirstCopy())
    outline = flatten((1.0, 2.0)).outline()
    solved = solver.solve({0: outline, 2: outline}, {})
    np.testing.assert_array_equal(solved.error, [0, np.inf, 0])


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex128"])
def test_a_gram_grows_into_the_product(dtype):
    rng = np.random.default_rng(0)
    turn = np.exp(2j * np.arange(6)) if dtype == "complex128" else np.ones(6)
    arrays = (turn[:, None, None] * rng.normal(size=(6, 4, 5))).astype(dtype)
    gram = GrowingGram()
    for array in arrays:
        gram.add(array.reshape(-1).astype(np.result_type(array, np.float64)))
    flat = arrays.reshape(6, -1)
    flat = flat / 2.0 ** np.frexp(np.abs(flat[0]).max())[1]
    np.testing.assert_allclose(gram.matrix, (flat @ flat.conj().T).real, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("decoder", ["kriging", "spline", "berrut"])
def test_results_that_arrive_one_by_one_decode_as_all_at_once(decoder):
    code = coding.Berrut(4, 9, systematic=True)
    rng = np.random.default_rng(1)
    values = {i: rng.normal(size=(3, 2)) for i in (8, 1, 5, 4, 6, 2)}
    solver = Solver(code, coding.get_decoder(decoder, code))
    results, outlines = {}, {}
    for i, value in values.items():
        results[i] = flatten(value)
        outlines[i] = results[i].outline()
        solver.solve(outlines, {})
    solved = solver.solve(outlines, {}, thorough=True)
    whole = coding.decode(code, values, decoder)
    answer = combine_results(solved, results, "stack", 0)
    np.testing.assert_allclose(answer, whole.blocks, rtol=1e-6, atol=1e-9)
    scale = np.sqrt(np.mean([v**2 for v in values.values()]))
    if decoder == "kriging":
        np.testing.assert_allclose(solved.error, whole.error / scale, rtol=1e-6, atol=1e-9)


def test_a_chunk_started_before_it_said_so(monkeypatch):
    monkeypatch.setattr(Ledger, "elapsed", 10.0)
    ledger = Ledger(k=2, n=2, decoder="berrut")
    ledger.news(0, "tcp://a", "running", ago=4.0)
    ledger.news(1, "tcp://a", "running", ago=60.0)
    ledger.news(0, "tcp://a", "done", ago=1.0)
    first, second = ledger.records
    assert (first.started, first.done) == (6.0, 9.0)
    assert second.started == 0


def test_the_report_of_a_ledger():
    ledger = Ledger(k=2, n=5, decoder="berrut")
    ledger.news(0, "tcp://a", "running")
    ledger.news(1, "tcp://b", "running")
    ledger.news(2, "tcp://a", "running")
    ledger.returned.append(2)
    ledger.end(2, "returned")
    ledger.erred[0] = ValueError("no")
    ledger.end(0, "erred")
    for chunk in (1, 3, 4):
        ledger.end(chunk, "cancelled")
    ledger.news(2, "tcp://late", "running")
    report = ledger.report()
    assert report.returned == (2,)
    assert report.missing == (0, 1, 3, 4)
    assert report.cancelled == (1, 3, 4)
    assert report.still_running == {1: "tcp://b"}
    assert list(report.erred) == [0]
    assert report.chunks[2].worker == "tcp://a"
    assert report.error is None
    assert "chunk 0: ValueError: no" in str(report)
    assert "1 on tcp://b" in str(report)
