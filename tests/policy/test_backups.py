"""Who is late, and which chunks are launched for them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dask_bacc import ChunkRecord, coding
from dask_bacc.policy.backups import Backups, choose_backups, coming_without, parity_for
from dask_bacc.policy.lateness import Patience, late_chunks, usual_limit
from tests.strategies import SYSTEMATIC

PATIENCE = Patience(quantile=0.5, multiple=2.0, minimum=0.5)


def done(started, ended):
    return ChunkRecord("returned", "w", started, ended)


def came(started, done, ended):
    return ChunkRecord("returned", "w", started, ended, done=done)


def running(started):
    return ChunkRecord("running", "w", started)


@pytest.mark.parametrize(
    ("records", "now", "late", "due"),
    [
        # Too few have returned to know what is usual.
        ([done(0, 1), running(0), running(0)], 99.0, set(), math.inf),
        # Twice the median duration, from each chunk's own start.
        ([done(0, 1), running(0), running(0.5), done(0, 1)], 1.9, set(), 2.0),
        ([done(0, 1), running(0), running(0.5), done(0, 1)], 2.1, {1}, 2.5),
        # Short tasks have the minimum.
        ([done(0, 0.01), running(0)], 0.4, set(), 0.5),
        # Spares do not count as launched.
        ([done(0, 1), running(0), ChunkRecord("spare"), ChunkRecord("spare")], 3.0, {1}, math.inf),
        # Who is late stays late when a backup is launched, which is late by itself in time.
        (
            [done(0, 1), running(0), ChunkRecord("running", "w", 2.5, backup=2.4)],
            3.0,
            {1},
            4.5,
        ),
        # One that nobody has started is late when nothing has moved for that long.
        ([done(0, 1), done(1, 2), ChunkRecord()], 3.9, set(), 4.0),
        ([done(0, 1), done(1, 2), ChunkRecord()], 4.0, {2}, math.inf),
        # A result that is done may come as much later as results of others did.
        ([done(0, 1), done(0, 1), ChunkRecord("running", "w", 0, done=1)], 2.9, set(), 3.0),
        ([came(0, 1, 6), done(0, 1), ChunkRecord("running", "w", 0, done=1)], 10.9, set(), 11.0),
        # A backup has that long from its launch, however long nothing moved before.
        ([done(0, 1), done(0, 1), running(0), ChunkRecord(backup=2.5)], 4.0, {2}, 4.5),
    ],
)
def test_late_chunks(records, now, late, due):
    assert late_chunks(records, now, PATIENCE) == (late, due)


def states(text):
    names = {"r": "returned", "x": "running", "s": "spare", "e": "erred", "w": "waiting"}
    return [ChunkRecord(names[letter]) for letter in text]


@pytest.mark.parametrize(
    ("text", "late", "count"),
    [
        ("rrrrrrrrssss", (), 1),  # all are in, but asked for because they do not do
        ("rrrrrrxxssss", (), 0),  # two are on their way
        ("rrrrrrxxssss", (6,), 1),
        ("rrrrrrxxssss", (6, 7), 2),
        ("rrrrrrxxxsss", (6, 7), 1),  # a parity chunk is on its way
        ("rrrrrrxxxsss", (6, 7, 8), 2),  # and late too
        ("rrrrrreerrss", (), 1),  # two parity chunks stand in, and do not do
        ("rrrrreeewwss", (), 1),  # three failed, two parity chunks are queued
        ("xxxxxxxxxxxx", tuple(range(12)), 0),  # nothing left to launch
    ],
)
def test_how_many_parity_for(text, late, count):
    assert len(parity_for(SYSTEMATIC(8, 12), states(text), late, enough=8)) == count


def test_backups_until_there_are_enough():
    assert len(parity_for(SYSTEMATIC(8, 12), states("rrrrrrrrssss"), (), enough=11)) == 3


def test_a_backup_has_the_missing_block_in_it():
    code = coding.Local(8, 12)
    for block in range(8):
        text = "".join("x" if j == block else "r" for j in range(8)) + "ssss"
        (chosen,) = parity_for(code, states(text), {block}, enough=8)
        assert code.generator[chosen, block] > 0
    copies = coding.Repetition(4, 8)
    assert parity_for(copies, states("rxrrssss"), {1}, enough=4) == [5]
    # The copy is late as well, and no other chunk has anything of the block.
    assert parity_for(copies, states("rxrrsxss"), {1, 5}, enough=4) == []


@given(st.text("rxsew", min_size=12, max_size=12), st.sets(st.integers(0, 11)))
def test_backups_are_spares(text, late):
    code = coding.Local(8, 12)
    chosen = parity_for(code, states(text), late, enough=8)
    assert len(set(chosen)) == len(chosen)
    assert all(text[chunk] == "s" for chunk in chosen)
    if "s" in text and not any(
        letter in "xw" and chunk not in late for chunk, letter in enumerate(text)
    ):
        lost = [j for j in range(8) if text[j] != "r"]
        spares = [i for i, letter in enumerate(text) if letter == "s"]
        # With nothing on its way the run goes on, unless nothing could help.
        assert chosen or (lost and not code.generator[np.ix_(spares, lost)].any())


def test_what_is_usual_is_known_once_enough_have_returned():
    assert usual_limit([done(0, 1), running(0), running(0)], PATIENCE) is None
    assert usual_limit([done(1, 4), done(0, 1), running(0)], PATIENCE) == 6.0
    assert usual_limit([done(0, 0.01), done(0, 0.01)], PATIENCE) == 0.5
    # Not the time that results took to come.
    assert usual_limit([came(0, 1, 9), came(0, 1, 9)], PATIENCE) == 2.0


@given(
    st.text("rxs", min_size=12, max_size=12),
    st.lists(st.floats(0.0, 1.0), min_size=12, max_size=12),
    st.floats(0.0, 8.0),
    st.booleans(),
)
def test_no_smaller_set_of_those_first_in_line_suffices(text, worth, threshold, may_copy):
    """Against all sets of copies or of parity chunks in their order, one by one."""
    code, records = SYSTEMATIC(8, 12), states(text)
    late = [chunk for chunk in range(8) if text[chunk] == "x"]
    due = late[::-1] if may_copy else []

    def suffices(chunks):
        return sum(worth[chunk] for chunk in chunks) >= threshold

    chosen = choose_backups(code, records, late=late, due=due, enough=8, suffices=suffices)
    coming = coming_without(records, late)
    spares = [chunk for chunk, letter in enumerate(text) if letter == "s"]
    assert set(chosen.copies) <= set(due)
    assert set(chosen.parity) <= set(spares)
    if suffices(coming):
        assert chosen == Backups()
    elif not suffices(coming | set(chosen.copies) | set(chosen.parity)):
        # Nothing would do: all that may be run once more is.
        assert list(chosen.copies) == due
        assert not suffices(coming | set(due))
    elif chosen.copies and not chosen.parity:
        assert not suffices(coming | set(chosen.copies[:-1]))
    elif chosen.parity and not chosen.copies:
        # As many copies would not do.
        assert not suffices(coming | set(due[: len(chosen.parity)]))
