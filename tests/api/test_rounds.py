"""Rounds over the same chunks: what blocks returned before, in the answers of later rounds."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import xarray as xr

import dask_bacc
from tests.shared import chunk_here, wait_until

K, N, COLUMNS = 8, 12, 5
DATA = np.random.default_rng(0).normal(size=(K * 6, COLUMNS))
BLOCKS = np.split(DATA, K)
START, WAY = np.random.default_rng(1).normal(size=(2, COLUMNS))
#: Chunks that fail, by round.
LOST = ("", "0 3 9 11", "1 4 8 10", "2 5 6 9")


def gradient(block, weights, lost=""):
    """Of a logistic loss; fails where a chunk is to be lost."""
    if chunk_here() in map(int, lost.split()):
        raise RuntimeError("lost")
    return loss_gradient(block, weights)


def loss_gradient(block, weights):
    return block.T @ (1 / (1 + np.exp(-block @ weights)) - 0.5)


def weights_in(turn):
    return START + 0.05 * turn * WAY


def truth(turn):
    return np.stack([loss_gradient(block, weights_in(turn)) for block in BLOCKS])


def off(answer, exact):
    return np.linalg.norm(answer - exact) / np.linalg.norm(exact)


@pytest.fixture
def coded(client):
    return dask_bacc.encode(DATA, k=K, n=N).persist()


def run_rounds(rounds, turns):
    """The runs of these rounds, each after the one before has its answer."""
    runs = []
    for turn in turns:
        runs.append(rounds(weights_in(turn), LOST[turn]))
        runs[-1].result()
    return runs


def test_sums_are_nearer_than_by_one_round_and_within_their_bars(coded):
    runs = run_rounds(coded.rounds(gradient, rtol=np.inf, enough=K), range(4))
    for turn in (1, 2, 3):
        exact = truth(turn).sum(axis=0)
        alone = coded.map(gradient, weights_in(turn), LOST[turn], rtol=np.inf, combine="sum")
        error = off(runs[turn].result(), exact)
        # Which parity comes first varies, and little is remembered before the third round.
        assert error < off(alone.result(), exact) * (1 / 3 if turn == 3 else 1.1)
        assert error < 3 * runs[turn].report.error


def test_every_block_has_its_own_error(coded):
    runs = run_rounds(coded.rounds(gradient, rtol=np.inf, enough=K, combine="stack"), range(4))
    report, answer, exact = runs[3].report, runs[3].result(), truth(3)
    size = np.sqrt(np.mean(exact**2))
    assert report.approximate.keys() == {2, 5, 6}
    for block, error in enumerate(report.block_error):
        missed = np.sqrt(np.mean((answer[block] - exact[block]) ** 2)) / size
        assert missed < 3 * error if error else missed == 0


def test_the_report_says_how_old_what_is_remembered_is(coded):
    first, *_, last = run_rounds(coded.rounds(gradient, rtol=np.inf, enough=K), range(4))
    assert first.report.remembered == {}
    assert last.report.remembered == {2: 1, 5: 1, 6: 1}
    assert "2 (1), 5 (1), 6 (1)" in str(last.report)


def test_what_is_complete_is_what_map_gives(coded):
    """Bit for bit: nothing is decoded where every block is in."""
    rounds = coded.rounds(gradient)
    rounds(START).result()
    run = rounds(weights_in(1))
    expected = coded.map(gradient, weights_in(1), combine="sum").result()
    np.testing.assert_array_equal(run.result(), expected)
    assert run.report.error == 0 == len(run.report.remembered)


def test_few_results_do_where_the_arguments_have_not_moved(coded):
    """The function is the same, so that blocks are what they were."""
    rounds = coded.rounds(gradient, rtol=1e-3, enough=4, copies=False)
    rounds(START).result()
    run = rounds(START, "0 1 2 3 8 9 10")
    assert off(run.result(), truth(0).sum(axis=0)) < 1e-3


def test_few_chunks_are_launched_where_they_do(coded, configure):
    """And those of which nothing was heard for longest are among them."""
    # No backup for what a busy machine holds up.
    configure({"bacc.backup.minimum": 30})
    rounds = coded.rounds(gradient, rtol=0.2, enough=2, launch="backup", copies=False)
    launched = []
    for turn in range(8):
        run = rounds(weights_in(turn / 10))
        error = off(run.result(), truth(turn / 10).sum(axis=0))
        assert error < max(3 * run.report.error, 1e-12)
        launched.append({i for i, c in enumerate(run.report.chunks) if c.started is not None})
    assert launched[0] == set(range(K))
    assert all(len(chunks) < K for chunks in launched[3:])
    assert set().union(*launched[1:]) >= set(range(K))


def test_a_memory_that_was_pickled_goes_on(coded):
    rounds = coded.rounds(gradient, rtol=np.inf, enough=K)
    run_rounds(rounds, range(3))
    memory = pickle.loads(pickle.dumps(rounds.memory))
    again = coded.rounds(gradient, rtol=np.inf, enough=K, memory=memory)
    here, there = (run_rounds(either, [3])[0] for either in (rounds, again))
    np.testing.assert_allclose(here.result(), there.result(), rtol=1e-6)
    assert there.report.remembered == here.report.remembered != {}


def test_two_at_once_know_nothing_of_each_other(coded):
    one = coded.rounds(gradient, rtol=np.inf, enough=K)
    other = coded.rounds(gradient, rtol=np.inf, enough=K)
    run_rounds(one, range(2))
    before = one.memory.nbytes
    assert other(weights_in(0), LOST[1]).result() is not None
    assert one.memory.nbytes == before


def test_only_the_last_results_are_kept(coded):
    rounds = coded.rounds(gradient, rtol=np.inf, enough=K, keep=1)
    run_rounds(rounds, range(4))
    assert rounds.memory.nbytes == N * COLUMNS * 8
    assert f"{N * COLUMNS * 8:,} bytes" in repr(rounds)


def of_some(block, weights, count, lost=""):
    return gradient(block, weights, lost)[:count]


def test_results_of_another_shape_start_anew(coded):
    rounds = coded.rounds(of_some, rtol=np.inf, enough=K)
    rounds(START, 5).result()
    run = rounds(weights_in(1), 3, LOST[1])
    assert run.result().shape == (3,)
    assert run.report.remembered == {}


class Weights:
    """Arguments whose numbers nobody can see."""

    def __init__(self, values):
        self.values = values


def of_object(block, weights, lost=""):
    return gradient(block, weights.values, lost)


def test_how_far_arguments_move_is_told_by_results_where_they_are_no_arrays(coded):
    rounds = coded.rounds(of_object, rtol=np.inf, enough=K)
    for turn in range(4):
        run = rounds(Weights(weights_in(turn)), LOST[turn])
        run.result()
    error = off(run.result(), truth(3).sum(axis=0))
    assert error < 3 * run.report.error
    alone = coded.map(gradient, weights_in(3), LOST[3], rtol=np.inf, combine="sum").result()
    assert error < off(alone, truth(3).sum(axis=0)) / 3


def jumps(block, turn, lost=""):
    """Has nothing to do with what it was in the round before."""
    sign = np.random.default_rng(turn).normal(size=COLUMNS)
    return gradient(block, 3 * sign, lost)


def test_bars_hold_for_functions_that_jump(coded):
    rounds = coded.rounds(jumps, rtol=np.inf, enough=K)
    for turn in range(4):
        run = rounds(turn, LOST[turn])
        run.result()
        exact = np.sum([jumps_of(block, turn) for block in BLOCKS], axis=0)
        assert off(run.result(), exact) < max(3 * run.report.error, 1e-12)


def jumps_of(block, turn):
    return loss_gradient(block, 3 * np.random.default_rng(turn).normal(size=COLUMNS))


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"combine": "list"}, ValueError, "combine='list' has no numbers to remember"),
        ({"decoder": "berrut"}, ValueError, "decoder='berrut' is another"),
        ({"keep": 0}, ValueError, "keep must be at least 1"),
        ({"rtoll": 0.1}, TypeError, "rtoll is no option of rounds"),
        ({"enough": 13}, ValueError, "enough must be 1 to n=12"),
    ],
)
def test_what_cannot_be_is_said_before_the_first_round(coded, options, error, said):
    with pytest.raises(error, match=said):
        coded.rounds(gradient, **options)


def test_a_function_has_to_be_callable(coded):
    with pytest.raises(TypeError, match="func must be callable, got int"):
        coded.rounds(3)


@pytest.mark.parametrize("labelled", [False, True])
@pytest.mark.parametrize("combine", ["stack", "sum"])
def test_rounds_whose_results_stay_on_workers_have_answers(client, configure, labelled, combine):
    """Nobody has fetched what the first round left; a later one is decoded by it all the same."""
    configure({"bacc.gather-limit": "10 B"})
    data = xr.DataArray(DATA, dims=("row", "column")) if labelled else DATA
    coded = dask_bacc.encode(data, k=K, n=N).persist()
    rounds = coded.rounds(plain_gradient, rtol=np.inf, enough=K, combine=combine)
    rounds(weights_in(0))
    first = rounds(weights_in(1))
    wait_until(first.done)
    run = rounds(weights_in(2), LOST[2])
    exact = truth(2) if combine == "stack" else truth(2).sum(axis=0)
    assert off(np.asarray(run.result()), exact) < 3 * run.report.error


def plain_gradient(block, weights, lost=""):
    return gradient(np.asarray(block), weights, lost)


@pytest.mark.parametrize("value", [0.0, 10.0])
def test_results_that_are_alike_in_all_rounds_say_little(coded, value):
    """The first event may be in a block that is late."""

    def events(block, turn, lost=""):
        if chunk_here() in map(int, lost.split()):
            raise RuntimeError("lost")
        return np.full(3, value)

    rounds = coded.rounds(events, rtol=np.inf, enough=K, combine="stack", copies=False)
    rounds(1.0).result()
    run = rounds(2.0, LOST[1])
    run.result()
    alone = coded.map(events, 2.0, LOST[1], rtol=np.inf, enough=K, combine="stack", copies=False)
    alone.result()
    assert run.report.error > 0.01
    assert run.report.error >= 0.9 * alone.report.error


def test_rounds_in_groups_launch_few_chunks(client, configure):
    """Of some groups nothing is launched at first."""
    configure({"bacc.group-size": 4})
    coded = dask_bacc.encode(DATA, k=K, n=N).persist()
    rounds = coded.rounds(gradient, rtol=0.5, enough=3, launch="backup", copies=False)
    for turn in range(3):
        run = rounds(weights_in(turn))
        error = off(run.result(), truth(turn).sum(axis=0))
        assert error < max(3 * run.report.error, 1e-12)


def of_best(block, weights, best, lost=""):
    return gradient(block, weights, lost)


@pytest.mark.parametrize("odd", [np.inf, np.nan])
def test_arguments_may_begin_as_infinity(coded, odd):
    rounds = coded.rounds(of_best, rtol=np.inf, enough=K)
    rounds(weights_in(0), odd).result()
    for turn in (1, 2):
        run = rounds(weights_in(turn), 1.0 / turn, LOST[turn])
        assert off(run.result(), truth(turn).sum(axis=0)) < 3 * run.report.error


def test_without_an_estimate_rounds_wait_for_as_many_results_as_blocks(coded):
    rounds = coded.rounds(gradient, rtol=np.inf)
    for turn in range(4):
        run = rounds(weights_in(turn))
        run.result()
    assert len(run.report.returned) >= K
