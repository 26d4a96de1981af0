"""When a run stops."""

from __future__ import annotations

import math

import pytest

from dask_bacc import coding
from dask_bacc.policy.stop import why_stop
from dask_bacc.records.events import Stop

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
