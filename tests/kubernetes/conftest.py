"""A world for all tests of a module."""

from __future__ import annotations

import gc
import os
import warnings
from collections.abc import Iterator

import pytest

from tests.kubernetes.world.outside import World


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world, by which clients find their way."""
    if os.geteuid() != 0:
        pytest.skip("only root may make namespaces")
    found = World(tmp_path_factory.mktemp("world"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", str(found.config))
        yield found
    found.close()
    with warnings.catch_warnings():
        # Clients of the API leave their connections to the garbage collector.
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
