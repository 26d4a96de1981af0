"""Options of a run, and parameters of functions that have the same names."""

from __future__ import annotations

import subprocess
import sys

import dask
import numpy as np
import pytest
import xarray as xr

import dask_bacc
from tests.shared import X, chunk_here


def tolerant(block, rtol=0.5, deadline=7.0):
    return block * 0 + rtol + deadline


def test_an_option_that_is_a_parameter_too_is_refused(client):
    coded = dask_bacc.encode(X, k=8)
    with pytest.raises(TypeError, match=r"rtol is an option of map and a parameter of tolerant"):
        coded.map(tolerant, rtol=1e-8)
    with pytest.raises(TypeError, match="deadline is an option of map"):
        coded.map(tolerant, deadline=3.0)
    # What is not said cannot be meant otherwise.
    np.testing.assert_array_equal(coded.map(tolerant).result(), np.full(X.shape, 7.5))


def test_whoever_says_whose_it_is_gets_both(client):
    coded = dask_bacc.encode(X, k=8, n=10)
    run = coded.map(tolerant, rtol=0.3, kwargs={"rtol": 1.0})
    np.testing.assert_allclose(run.result(), np.full(X.shape, 8.0))
    run = coded.map(tolerant, rtol=0.3, kwargs={})
    np.testing.assert_allclose(run.result(), np.full(X.shape, 7.5))
    run = coded.map(
        lambda block, scale, shift: scale * block + shift, scale=2.0, kwargs={"shift": 1.0}
    )
    np.testing.assert_allclose(run.result(), 2 * X + 1)


def test_workers_and_priorities_are_those_of_client_map(client):
    only = sorted(client.scheduler_info(n_workers=-1)["workers"])[1]
    run = dask_bacc.encode(X, k=8).map(lambda b: b + chunk_here() * 0, workers=[only], priority=3)
    np.testing.assert_array_equal(run.result(), X)
    assert {chunk.worker for chunk in run.report.chunks} == {only}


def test_runs_are_futures_collections_and_arrays(client):
    run = dask_bacc.encode(X, k=8).map(np.tanh)
    np.testing.assert_array_equal(np.asarray(run), np.tanh(X))
    assert run.done()
    (answer,) = dask.compute(run)
    np.testing.assert_array_equal(answer, np.tanh(X))
    pair, twice = dask.compute(run, dask.delayed(2) * 2)
    np.testing.assert_array_equal(pair, np.tanh(X))
    assert twice == 4


def test_coded_arrays_tell_their_shapes():
    coded = dask_bacc.encode(X, k=8, n=10)
    stacked = coded.to_dask_array()
    assert (coded.shape, coded.chunks, coded.dtype) == (
        stacked.shape,
        stacked.chunks,
        stacked.dtype,
    )
    both = dask_bacc.encode(X, X[:, 0].astype("f4"), k=8)
    assert both.shape == ((8, 3, 2), (8, 3))
    assert both.dtype == (np.dtype("f8"), np.dtype("f4"))


def test_axis_and_dim_say_the_same_thing():
    array = xr.DataArray(X, dims=("time", "x"))
    with pytest.raises(TypeError, match="axis=1 and dim='time' say the same thing"):
        dask_bacc.encode(array, k=8, axis=1, dim="time")


def test_a_timeout_says_what_was_waited_for(client, gate):
    from tests.shared import held

    run = dask_bacc.encode(X, k=8).map(held, gate, {1, 2, 3, 6})
    with pytest.raises(TimeoutError, match=r"no answer in 0.5 s: .* of 8 chunks returned \(k=8\)"):
        run.result(timeout=0.5)
    run.cancel()


SCRIPT = """
import numpy as np
from distributed import Client
import dask_bacc

if __name__ == "__main__":
    with Client(processes=False, n_workers=1, dashboard_address="127.0.0.1:0"):
        dask_bacc.encode(np.ones(8), k=4).map(np.tanh).result()
    try:
        dask_bacc.encode(np.ones(8), k=4).map(np.tanh)
    except ValueError as error:
        print(error)
"""


def test_who_had_a_client_gets_no_cluster_in_this_process(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.startswith("there is no client any more")


PENDING = """
import time
import numpy as np
from distributed import Client
import dask_bacc

def long(block):
    time.sleep(3)
    return block

if __name__ == "__main__":
    client = Client(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0")
    run = dask_bacc.encode(np.ones(8), k=4).map(long)
    time.sleep(0.5)
"""


def test_leaving_with_a_pending_run_prints_nothing_of_its_own(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(PENDING)
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == ""
    # Workers and nannies say that they end with a task, whoever sent it.
    assert "dask_bacc" not in done.stderr
    assert "Traceback" not in done.stderr
