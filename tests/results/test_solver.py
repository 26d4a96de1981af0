"""The parts of a run that need no cluster: structures, the stop rule, combining."""

from __future__ import annotations

import asyncio
import math
from collections import namedtuple

import numpy as np
import pytest

from dask_bacc import coding
from dask_bacc.policy.stop import why_stop
from dask_bacc.policy.timing import Timing
from dask_bacc.records.errors import RefusedError, ResultError
from dask_bacc.records.events import Stop
from dask_bacc.records.state import RunState
from dask_bacc.results.combine import combine_results
from dask_bacc.results.gram import GrowingGram
from dask_bacc.results.pytree import flatten, unflatten
from dask_bacc.results.result import flat_result
from dask_bacc.results.solver import Solver
from dask_bacc.runtime.inline import InlineResults
from dask_bacc.worker.messages import Message
from dask_bacc.worker.task import ChunkResult
from tests.shared import along, relative_error, specs

Pair = namedtuple("Pair", "left right")


CONCAT, STACK = along("concat"), along("stack")


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


def test_what_comes_with_a_message_and_cannot_be_read_is_fetched():
    async def of(chunk):
        inline = InlineResults(Timing())
        inline.take(Message("run", chunk, "done", b"no pickle"))
        return await inline.of(chunk, failed=False)

    assert asyncio.run(of(3)) is None


def test_what_an_earlier_attempt_said_of_its_end_is_not_of_the_next():
    async def of(chunk):
        inline = InlineResults(Timing(fetch_after=30.0))
        for state in ("running", "done", "running"):
            inline.take(Message("run", chunk, state))
        result = flat_result(np.ones(2))
        brought = ChunkResult(result.spec(), None, result).packed()
        said = Message("run", chunk, "done", brought)
        asyncio.get_running_loop().call_later(0.05, inline.take, said)
        return await inline.of(chunk, failed=False)

    np.testing.assert_array_equal(asyncio.run(of(3)).result.leaves[0], np.ones((1, 2)))


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
        (
            coding.Berrut(4, 8, systematic=True),
            [],
            8,
            {"deadline": math.inf},
            None,
        ),
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
    results = {i: flat_result({"x": v}) for i, v in values.items()}
    solved = Solver(code, decoder, CONCAT).solve(specs(results), {})
    expected = {
        "stack": blocks,
        "sum": blocks.sum(axis=0),
        "mean": blocks.mean(axis=0),
    }
    for combine, answer in expected.items():
        ours = combine_results(solved, results, along(combine))
        np.testing.assert_allclose(ours["x"], answer, atol=1e-12)
    for axis in (0, 1):
        ours = combine_results(solved, results, along("concat", axis))
        np.testing.assert_array_equal(ours["x"], np.concatenate(list(blocks), axis=axis))


@pytest.mark.parametrize(
    ("shape", "message"),
    [((), "scalar results cannot"), ((3,), r"shape \(3,\) have no axis 1")],
)
def test_concat_needs_the_axis(shape, message):
    with pytest.raises(ValueError, match=f"{message}.*use combine='stack'"):
        along("concat", 1).axis_of(shape)


def test_a_lost_block_is_lost_in_every_leaf():
    solver = Solver(coding.Repetition(3, 4), coding.FirstCopy(), CONCAT)
    spec = flat_result((1.0, 2.0)).spec()
    solved = solver.solve({0: spec, 2: spec}, {})
    np.testing.assert_array_equal(solved.estimate.by_block, [0, np.inf, 0])


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


@pytest.mark.parametrize("combine", ["sum", "mean"])
@pytest.mark.parametrize("offset", [0.0, 3.0])
def test_the_error_of_a_sum_is_that_of_the_sum(combine, offset):
    """Blocks may cancel, and errors of blocks add up."""
    code = coding.Berrut(8, 14, systematic=True)
    ratios = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        blocks = rng.normal(size=(8, 10)) + rng.normal(size=10)
        weights = rng.normal(size=(10, 100)) / 3

        def function(x, weights=weights):
            return np.tanh(x @ weights) ** 2 + offset

        chunks = code.encode(blocks)
        returned = [0, 1, 2, 3, *range(8, 14)]
        results = {i: flat_result(function(chunks[i])) for i in returned}
        solver = Solver(code, coding.Kriging(), along(combine))
        solved = solver.solve(specs(results), {i: [chunks[i]] for i in range(14)})
        answer = combine_results(solved, results, along(combine))
        truth = function(blocks).sum(axis=0) / (8 if combine == "mean" else 1)
        off = relative_error(answer, truth)
        ratios.append(off / solved.estimate.overall)
    assert max(ratios) < 1.5
    assert np.median(ratios) > 0.05


@pytest.mark.parametrize("decoder", ["kriging", "spline", "berrut"])
def test_results_that_arrive_one_by_one_decode_as_all_at_once(decoder):
    code = coding.Berrut(4, 9, systematic=True)
    rng = np.random.default_rng(1)
    values = {i: rng.normal(size=(3, 2)) for i in (8, 1, 5, 4, 6, 2)}
    solver = Solver(code, coding.get_decoder(decoder, code), CONCAT)
    results, specs = {}, {}
    for i, value in values.items():
        results[i] = flat_result(value)
        specs[i] = results[i].spec()
        solver.solve(specs, {})
    solved = solver.solve(specs, {}, thorough=True)
    whole = coding.decode(code, values, decoder)
    answer = combine_results(solved, results, STACK)
    np.testing.assert_allclose(answer, whole.blocks, rtol=1e-6, atol=1e-9)
    scale = np.sqrt(np.mean([v**2 for v in values.values()]))
    if decoder == "kriging":
        np.testing.assert_allclose(
            solved.estimate.by_block, whole.error / scale, rtol=1e-6, atol=1e-9
        )


def test_a_chunk_started_before_it_said_so():
    times = iter([0.0])
    state = RunState(k=2, n=2, decoder="berrut", clock=lambda: next(times, 10.0))
    state.start(0, "tcp://a", ago=4.0)
    state.start(1, "tcp://a", ago=60.0)
    state.done(0, "tcp://a", ago=1.0)
    first, second = state.records
    assert (first.started, first.done) == (6.0, 9.0)
    assert second.started == 0


def test_the_report_of_a_state():
    state = RunState(k=2, n=5, decoder="berrut")
    state.start(0, "tcp://a")
    state.start(1, "tcp://b")
    state.start(2, "tcp://a")
    state.take_result(2)
    state.take_error(0, ValueError("no"))
    for chunk in (1, 3, 4):
        state.give_up([chunk])
    state.start(2, "tcp://late")
    report = state.report()
    assert report.returned == (2,)
    assert report.missing == (0, 1, 3, 4)
    assert report.cancelled == (1, 3, 4)
    assert report.still_running == {1: "tcp://b"}
    assert list(report.erred) == [0]
    assert report.chunks[2].worker == "tcp://a"
    assert report.error is None
    assert "chunk 0: ValueError: no" in str(report)
    assert "1 on tcp://b" in str(report)


def test_what_was_fitted_before_hides_no_function_that_fits_now():
    """Quadratic functions are found as soon as results can contradict them."""
    rng = np.random.default_rng(1)
    code = coding.Berrut(4, 20, systematic=True)
    chunks = code.encode(rng.normal(size=(4, 40)))
    warm, results, sketches = Solver(code, coding.Kriging(), STACK), {}, {}
    for chunk in [i for i in rng.permutation(20).tolist() if i not in (2, 3)]:
        results[chunk] = flat_result(chunks[chunk] ** 2).spec()
        sketches[chunk] = [chunks[chunk]]
        if len(results) >= 4:
            error = warm.solve(results, sketches).estimate.overall
            afresh = (
                Solver(code, coding.Kriging(), STACK).solve(results, sketches).estimate.overall
            )
            assert error < 3 * afresh + 1e-6
    assert error < 1e-6
