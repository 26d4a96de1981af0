"""Options of `map`, as arguments and configured, and what is said of bad ones."""

from __future__ import annotations

import dask
import numpy as np
import pytest

import dask_bacc
from dask_bacc import coding
from tests.shared import X


@pytest.mark.parametrize(
    ("func", "options", "error", "message"),
    [
        (3, {}, TypeError, "func must be callable, got int"),
        (np.tanh, {"enough": 0}, ValueError, "1 to n=6 results, got 0"),
        (np.tanh, {"enough": 7}, ValueError, "1 to n=6 results, got 7"),
        (np.tanh, {"rtol": -1}, ValueError, "rtol must be at least 0"),
        (np.tanh, {"rtol": float("nan")}, ValueError, "rtol must be at least 0"),
        (np.tanh, {"decoder": "magic"}, ValueError, "known decoders: berrut"),
        (np.tanh, {"decoder": "first-copy"}, ValueError, "no chunk that is block"),
        (np.tanh, {"combine": "glue"}, ValueError, "unknown combine 'glue'; use one of 'concat'"),
        (np.tanh, {"deadline": 0}, ValueError, "positive number of seconds"),
        (np.tanh, {"deadline": float("nan")}, ValueError, "positive number of seconds"),
        (
            np.tanh,
            {"deadline": "soon"},
            TypeError,
            "deadline must be a number of seconds, got 'soon'",
        ),
        (np.tanh, {"retries": -1}, ValueError, "retries must be at least 0"),
        (np.tanh, {"client": "here"}, TypeError, "distributed.Client, got str"),
    ],
)
def test_map_refuses(client, func, options, error, message):
    coded = dask_bacc.encode(X, k=4, n=6, code="berrut")
    with pytest.raises(error, match=message):
        coded.map(func, **{"client": client, **options})
    assert not client.futures


@pytest.mark.parametrize(
    ("name", "value"), [("quantile", 0), ("quantile", 1.5), ("multiple", -1), ("minimum", -0.1)]
)
def test_impatience_out_of_range_is_refused(client, name, value):
    coded = dask_bacc.encode(np.arange(8.0), k=4, n=6)
    with (
        dask.config.set({f"bacc.backup.{name}": value}),
        pytest.raises(ValueError, match=rf"bacc.backup.{name} must be .*, got {value}"),
    ):
        coded.map(np.tanh, launch="backup")


def test_options_of_launching_and_cancelling(client):
    coded = dask_bacc.encode(np.arange(8.0), k=4, n=6)
    with pytest.raises(ValueError, match="unknown launch 'lazy'; use one of 'eager', 'backup'"):
        coded.map(np.tanh, launch="lazy")
    with pytest.raises(
        ValueError, match="unknown cancel 'never'; use one of 'cancel', 'keep', 'restart'"
    ):
        coded.map(np.tanh, cancel="never")
    unsystematic = dask_bacc.encode(np.arange(8.0), k=4, n=6, code="berrut")
    with pytest.raises(ValueError, match="starts with the blocks as they stand"):
        unsystematic.map(np.tanh, launch="backup")


def test_numpy_integers_as_options(client):
    coded = dask_bacc.encode(X, k=np.int64(8), n=np.int64(12), axis=np.int8(0))
    run = coded.map(np.negative, enough=np.int64(12), retries=np.int64(1))
    np.testing.assert_array_equal(run.result(), -X)


def test_rtol_may_come_as_text(client):
    with dask.config.set({"bacc.rtol": "inf"}):
        assert dask_bacc.encode(X, k=8, n=12).map(np.tanh).result(timeout=60).shape == X.shape
        with pytest.raises(TypeError, match="rtol must be a number, got 'much'"):
            dask_bacc.encode(X, k=8, n=12).map(np.tanh, rtol="much")


def test_the_decoder_is_configured(client):
    with dask.config.set({"bacc.decoder": "floater-hormann"}):
        run = dask_bacc.encode(X, k=8, n=12).map(np.negative)
    run.result()
    assert run.report.decoder == "floater-hormann"


def test_any_code_object_and_decoder_object(client):
    code = coding.Grouped(8, 12, size=4, code=coding.Local)
    coded = dask_bacc.encode(X, k=8, n=12, code=code)
    run = coded.map(np.negative, decoder=coding.LeastSquares())
    np.testing.assert_allclose(run.result(), -X, atol=1e-12)
