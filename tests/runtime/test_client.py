"""The client of a run. Without one there is one, started once, said in the log, closed at exit."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from distributed import Client

import dask_bacc
from tests.shared import X

SCRIPT = """
import logging, threading
import numpy as np
logging.getLogger("dask_bacc").addHandler(logging.StreamHandler())
logging.getLogger("dask_bacc").setLevel(logging.INFO)
import dask, dask_bacc
coded = dask_bacc.encode(np.arange(12.0), k=3, n=5)
first, second = coded.map(np.negative, enough=5), coded.map(np.negative, enough=5)
np.testing.assert_allclose(first.result(), -np.arange(12.0), atol=1e-9)
np.testing.assert_allclose(second.result(), -np.arange(12.0), atol=1e-9)
assert first._client is second._client
assert dask.config.get("scheduler", None) is None
first._client.close()
np.testing.assert_allclose(coded.map(np.negative, enough=5).result(), -np.arange(12.0), atol=1e-9)
print("done")
"""


def test_local_client():
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "done\n"
    # What runs say of themselves begins with their names.
    lines = [line for line in done.stderr.splitlines() if not line.startswith("bacc-")]
    started = [line for line in lines if line.startswith("no Dask client: started")]
    assert len(started) == 2
    assert len(lines) == 2, done.stderr


def test_a_closed_client_is_refused(processes):
    with Client(processes, set_as_default=False) as closed:
        pass
    with pytest.raises(ValueError, match="client is closed"):
        dask_bacc.encode(X, k=4, n=6).map(np.tanh, client=closed)
