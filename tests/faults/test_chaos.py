"""Random faults from a seed; ``python -m benchmarks.chaos`` runs more of them."""

from __future__ import annotations

from benchmarks.chaos.carry_out import carry_out_all
from benchmarks.chaos.draws import FAULTS, SHAPES, draw


def test_a_draw_is_a_function_of_its_seed():
    draws = [draw(seed) for seed in range(300)]
    assert draws == [draw(seed) for seed in range(300)]
    assert len({repr(drawn) for drawn in draws}) == 300


def test_draws_are_sound_and_have_everything_in_them():
    draws = [draw(seed) for seed in range(300)]
    assert set().union(*(drawn.kinds for drawn in draws)) == set(FAULTS)
    assert {drawn.shape for drawn in draws} == set(SHAPES)
    assert {drawn.cold for drawn in draws} == {False, True}
    assert 5 < sum(drawn.cold for drawn in draws) < 30
    # Nothing of these is on the cluster between two runs.
    assert {drawn.runs for drawn in draws if drawn.data == "dask"} == {1, 2, 3}
    for drawn in draws:
        assert 1 <= len(drawn.faults) <= 3
        assert drawn.k < drawn.n == len(drawn.seconds)
        assert drawn.enough is None or 1 <= drawn.enough <= drawn.n
        for fault in drawn.faults:
            assert 0 <= fault.worker < drawn.shape[0]
            assert set(fault.chunks) <= set(range(drawn.n))


def test_chaos():
    failures = {
        outcome.draw.seed: outcome.failures
        for outcome in carry_out_all(range(12))
        if outcome.failures
    }
    assert failures == {}
