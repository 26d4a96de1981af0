"""Blocks as dask has them: the same answers, bit for bit, of functions of any kind."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest

import dask_bacc
from tests.shared import assert_nothing_is_left, relative_error, tasks_of_runs, wait_until

#: Cut along both axes, unevenly.
X = np.random.default_rng(0).normal(size=(60, 90))
CHUNKS = ((20, 25, 15), (40, 50))


def centred(block):
    return block - block.mean()


def placed(block, block_info=None):
    (i, j), (count, _) = block_info[0]["chunk-location"], block_info[0]["num-chunks"]
    return block + 10 * i + j + count


FUNCTIONS = {
    "tiles": (centred, {}),
    "ufunc": (np.tanh, {}),
    "where it is": (placed, {"dtype": float}),
    "which it is": (lambda b, block_id: b + block_id[1], {"dtype": float, "block_id": None}),
    "fewer axes": (lambda b: b.sum(axis=1), {"drop_axis": 1, "chunks": (CHUNKS[0],)}),
    "more axes": (lambda b: b[None], {"new_axis": 0}),
    "another dtype": (lambda b: b > 0, {"dtype": bool}),
    "complex": (lambda b: np.exp(1j * b), {"dtype": complex}),
    "other sizes": (lambda b: b[:10, :10], {"chunks": ((10, 10, 10), (10, 10))}),
    "rough": (lambda b: np.sign(np.sin(1e3 * b)), {"meta": np.empty((0, 0))}),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("persisted", [True, False])
def test_map_blocks_gives_what_dask_gives(client, name, persisted):
    func, options = FUNCTIONS[name]
    options = {key: value for key, value in options.items() if key != "block_id"}
    x = da.from_array(X, chunks=CHUNKS)
    if persisted:
        x = client.persist(x)
    theirs = da.map_blocks(func, x, **options)
    ours = dask_bacc.map_blocks(func, x, **options)
    assert (ours.shape, ours.chunks, ours.dtype) == (theirs.shape, theirs.chunks, theirs.dtype)
    expected, answer = theirs.compute(), ours.compute()
    np.testing.assert_array_equal(answer, expected)
    assert answer.dtype == expected.dtype
    del theirs, ours, x
    wait_until(lambda: not tasks_of_runs(client))


def test_several_arrays_and_arguments(client):
    x, y = (da.from_array(a, chunks=CHUNKS) for a in (X, X**2))
    ours = dask_bacc.map_blocks(lambda a, b, c, d=0: a * b + c + d, x, y, 3.0, d=4.0)
    np.testing.assert_array_equal(np.asarray(ours), X * X**2 + 3.0 + 4.0)


@pytest.mark.parametrize("boundary", ["reflect", "periodic", "nearest", "none", 0.0])
def test_map_overlap_gives_what_dask_gives(client, boundary):
    x = da.from_array(X, chunks=(20, 30))

    def smoothed(block):
        return block + np.roll(block, 1, axis=0) + np.roll(block, 2, axis=1)

    options = {"depth": (1, 2), "boundary": boundary, "dtype": float}
    ours = dask_bacc.map_overlap(smoothed, x, **options)
    np.testing.assert_array_equal(ours.compute(), da.map_overlap(smoothed, x, **options).compute())


def test_nothing_runs_before_it_is_asked_for(client):
    lazy = dask_bacc.map_blocks(centred, da.from_array(X, chunks=CHUNKS))
    assert not tasks_of_runs(client)
    run = lazy.run()
    assert run.report.k == 6
    assert run.result().shape == X.shape
    assert run.report.error == 0
    del run
    assert_nothing_is_left(client)


def test_with_rtol_it_may_be_off_so_far(client):
    x = da.from_array(X, chunks=(10, 90))
    weights = np.random.default_rng(1).normal(size=(90, 90)) / 10
    lazy = dask_bacc.map_blocks(lambda b: np.tanh(b @ weights), x, rtol=0.1, dtype=float)
    run = lazy.run()
    assert run.report.n == 9
    assert relative_error(run.result(timeout=60), np.tanh(X @ weights)) < 0.3


@pytest.mark.parametrize(
    ("chunks", "options"), [(CHUNKS, {}), ((20, 45), {}), ((20, 90), {"drop_axis": 1})]
)
def test_with_rtol_blocks_are_cut_along_one_axis(client, chunks, options):
    with pytest.raises(ValueError, match="with rtol"):
        dask_bacc.map_blocks(
            lambda b: b, da.from_array(X, chunks=chunks), rtol=0.1, dtype=float, **options
        )


def test_a_block_that_raises(client):
    def fails(block):
        if block[0, 0] == X[0, 0]:
            raise ZeroDivisionError("the first block")
        return block

    lazy = dask_bacc.map_blocks(fails, da.from_array(X, chunks=CHUNKS), dtype=float)
    with pytest.raises(dask_bacc.DecodeError) as info:
        lazy.compute()
    assert isinstance(info.value.__cause__, ZeroDivisionError)
